//! What changed in all tables, from their row versions: without a trigger, and without a statistic.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

/// Every row version that is seen in a table.
type Versions = BTreeSet<(String, String)>;

/// All tables of a database, without those of the schema `phasegate`.
pub(crate) struct Tables {
    /// By number: the query of its versions, and the table above it that has none above.
    queries: BTreeMap<u32, (String, String)>,
    /// The same, by name.
    tops: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<u32, Versions>);

/// How many row versions came and went in a table, with its partitions and the tables that inherit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) came: u64,
    pub(crate) went: u64,
}

impl Tables {
    pub(crate) fn of(admin: &mut Client) -> Self {
        let rows = admin.query(
            "WITH RECURSIVE up (oid, top, level) AS ( \
                 SELECT c.oid, c.oid, 0 FROM pg_class AS c WHERE c.relkind IN ('r', 'p') \
                 UNION ALL SELECT u.oid, i.inhparent, u.level + 1 FROM up AS u JOIN pg_inherits AS i ON i.inhrelid = u.top) \
             SELECT DISTINCT ON (c.oid) c.oid, format('%I.%I', n.nspname, c.relname), format('%I.%I', tn.nspname, t.relname) \
             FROM up AS u JOIN pg_class AS c ON c.oid = u.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             JOIN pg_class AS t ON t.oid = u.top JOIN pg_namespace AS tn ON tn.oid = t.relnamespace \
             WHERE c.relkind = 'r' AND n.nspname NOT IN ('phasegate', 'pg_catalog', 'information_schema') \
               AND n.nspname NOT LIKE 'pg\\_%' \
             ORDER BY c.oid, u.level DESC",
            &[],
        );
        let (mut queries, mut tops) = (BTreeMap::new(), BTreeMap::new());
        for row in rows.unwrap() {
            let (oid, name, top): (u32, String, String) = (row.get(0), row.get(1), row.get(2));
            let query = format!("SELECT ctid::text, xmin::text FROM ONLY {name}");
            queries.insert(oid, (query, top.clone()));
            tops.insert(name, top);
        }
        Tables { queries, tops }
    }

    /// The table above this one. Rows of a partition are counted as those of its root; rows of a table that inherits, as
    /// those of the table that the statement named.
    pub(crate) fn top_of(&self, oid: u32) -> &str {
        &self.queries[&oid].1
    }

    pub(crate) fn top_of_named<'a>(&'a self, table: &'a str) -> &'a str {
        self.tops.get(table).map_or(table, String::as_str)
    }

    pub(crate) fn snapshot(&self, admin: &mut Client) -> Snapshot {
        let all: Vec<_> = self
            .queries
            .iter()
            .map(|(oid, (query, _))| format!("SELECT {oid}::oid, v.* FROM ({query}) AS v"))
            .collect();
        let mut tables: BTreeMap<_, Versions> = BTreeMap::new();
        for row in admin.query(&all.join(" UNION ALL "), &[]).unwrap() {
            let versions = tables.entry(row.get(0)).or_default();
            versions.insert((row.get(1), row.get(2)));
        }
        Snapshot(tables)
    }

    /// What came about between the two, for each table that has none above it.
    pub(crate) fn between(
        &self,
        before: &Snapshot,
        after: &Snapshot,
    ) -> BTreeMap<String, Versioned> {
        let none = Versions::new();
        let mut changes: BTreeMap<_, Versioned> = BTreeMap::new();
        for (oid, (_, top)) in &self.queries {
            let before = before.0.get(oid).unwrap_or(&none);
            let after = after.0.get(oid).unwrap_or(&none);
            let change = changes.entry(top.clone()).or_default();
            change.came += after.difference(before).count() as u64;
            change.went += before.difference(after).count() as u64;
        }
        changes.retain(|_, change| *change != Versioned::default());
        changes
    }
}
