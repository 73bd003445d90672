//! The effects of phases on tables, in rows.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Rows inserted into, updated in and deleted from one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RowCounts {
    /// The number of rows inserted.
    pub inserted: u64,
    /// The number of rows updated.
    pub updated: u64,
    /// The number of rows deleted.
    pub deleted: u64,
}

impl RowCounts {
    /// Creates the counts of rows inserted, updated and deleted.
    #[must_use]
    pub fn new(inserted: u64, updated: u64, deleted: u64) -> Self {
        RowCounts {
            inserted,
            updated,
            deleted,
        }
    }

    /// Returns the three counts, each with its name.
    pub(crate) fn kinds(self) -> [(&'static str, u64); 3] {
        [
            ("inserted", self.inserted),
            ("updated", self.updated),
            ("deleted", self.deleted),
        ]
    }

    pub(crate) fn is_none(self) -> bool {
        self == RowCounts::default()
    }
}

impl fmt::Display for RowCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = false;
        for (kind, rows) in self.kinds() {
            if rows > 0 {
                write!(f, "{}{kind} {rows}", if said { ", " } else { "" })?;
                said = true;
            }
        }
        if said { Ok(()) } else { f.write_str("nothing") }
    }
}

/// The effects of a phase on each table: predicted by a simulator, or measured by the server.
///
/// A table is named as the server would print it: with its schema, and with quotation marks where SQL needs them
/// (`public.item`, `bank."Account"`). A partition counts for the table that it is a partition of. The effects of
/// triggers and functions count, on every table that they write.
///
/// ```
/// use phasegate::{Effects, plan::RowCounts};
///
/// let mut effects = Effects::new();
/// for _ in 0..3 {
///     effects.insert("bank.account", 1);
/// }
/// effects.update("bank.branch", 1);
/// assert_eq!(effects.of("bank.account"), RowCounts::new(3, 0, 0));
/// assert_eq!(effects.of("bank.loan"), RowCounts::default());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Effects {
    tables: BTreeMap<String, RowCounts>,
}

impl Effects {
    /// Creates effects without a table, as for a phase that only reads.
    #[must_use]
    pub fn new() -> Self {
        Effects::default()
    }

    /// Adds `rows` rows inserted into `table`.
    pub fn insert(&mut self, table: &str, rows: u64) -> &mut Self {
        self.add(table, RowCounts::new(rows, 0, 0))
    }

    /// Adds `rows` rows of `table` updated.
    pub fn update(&mut self, table: &str, rows: u64) -> &mut Self {
        self.add(table, RowCounts::new(0, rows, 0))
    }

    /// Adds `rows` rows deleted from `table`.
    pub fn delete(&mut self, table: &str, rows: u64) -> &mut Self {
        self.add(table, RowCounts::new(0, 0, rows))
    }

    fn add(&mut self, table: &str, more: RowCounts) -> &mut Self {
        if !more.is_none() {
            let sum = self.tables.entry(table.to_owned()).or_default();
            sum.inserted = sum.inserted.saturating_add(more.inserted);
            sum.updated = sum.updated.saturating_add(more.updated);
            sum.deleted = sum.deleted.saturating_add(more.deleted);
        }
        self
    }

    /// Returns the effects on `table`.
    #[must_use]
    pub fn of(&self, table: &str) -> RowCounts {
        self.tables.get(table).copied().unwrap_or_default()
    }

    /// Returns every changed table, in the order of the names.
    pub fn tables(&self) -> impl Iterator<Item = (&str, RowCounts)> {
        self.tables
            .iter()
            .map(|(table, &counts)| (table.as_str(), counts))
    }

    /// Returns whether no table is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// The planned effects on one table: the number of rows, and the tolerance.
///
/// The tolerance holds for each kind of change by itself, and only where rows were predicted: a kind with a prediction
/// of zero must stay zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedRows {
    inserted: u64,
    updated: u64,
    deleted: u64,
    tolerance: u64,
}

impl PlannedRows {
    pub(crate) fn new(counts: RowCounts, tolerance: u64) -> Self {
        PlannedRows {
            inserted: counts.inserted,
            updated: counts.updated,
            deleted: counts.deleted,
            tolerance,
        }
    }

    /// Returns the predicted rows.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        RowCounts::new(self.inserted, self.updated, self.deleted)
    }

    /// Returns how many more or fewer rows are tolerated.
    #[must_use]
    pub fn tolerance(&self) -> u64 {
        self.tolerance
    }

    pub(super) fn is_none(&self) -> bool {
        self.counts().is_none()
    }
}

impl fmt::Display for PlannedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.counts())?;
        match self.tolerance {
            0 => Ok(()),
            rows => write!(f, " (give or take {rows})"),
        }
    }
}

/// Returns why `table` is not the name of a table as the server would print it, as far as its form tells; `None` if it
/// is one.
pub(crate) fn not_a_table_name(table: &str) -> Option<String> {
    let mut parts = 0;
    let mut rest = table;
    loop {
        let plain = |c: char| c == '_' || c.is_lowercase() || c.is_numeric() || !c.is_ascii();
        let part = if let Some(quoted) = rest.strip_prefix('"') {
            // A doubled quotation mark is an escaped one.
            let mut end = None;
            let mut at = 0;
            while let Some(next) = quoted[at..].find('"') {
                if quoted[at + next + 1..].starts_with('"') {
                    at += next + 2;
                } else {
                    end = Some(at + next);
                    break;
                }
            }
            end.filter(|&end| end > 0).map(|end| end + 2)
        } else {
            let end = rest
                .find(|c: char| !plain(c) && c != '$')
                .unwrap_or(rest.len());
            let starts = rest.starts_with(|c: char| plain(c) && !c.is_numeric());
            starts.then_some(end)
        };
        let Some(part) = part else { break };
        parts += 1;
        rest = &rest[part..];
        match rest.strip_prefix('.') {
            Some(after) if parts == 1 => rest = after,
            _ => break,
        }
    }
    if parts == 2 && rest.is_empty() {
        return None;
    }
    Some(format!(
        "`{table}` is not the name of a table as the server prints it, with its schema: `public.item`, `bank.\"Account\"`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_nothing_is_no_entry() {
        let mut effects = Effects::new();
        effects.insert("a.b", 2).insert("a.b", 1).delete("a.b", 4);
        effects.update("a.c", 0);
        assert_eq!(effects.tables().count(), 1);
        assert_eq!(effects.of("a.b"), RowCounts::new(3, 0, 4));
        effects.insert("a.b", u64::MAX);
        assert_eq!(effects.of("a.b").inserted, u64::MAX);
    }

    #[test]
    fn a_table_is_named_with_its_schema_as_the_server_prints_it() {
        for good in [
            "public.item",
            "bank.\"Account\"",
            "\"a.b\".\"c\"\"d\"",
            "_x.y1$",
            "é.ü",
        ] {
            assert_eq!(not_a_table_name(good), None, "{good}");
        }
        for bad in [
            "",
            "item",
            ".item",
            "public.",
            "public.Item",
            "a.b.c",
            "public.item ",
            "public.\"\"",
            "public.\"x",
            "1a.b",
            "public.item; DROP",
            "public.\"x\"y",
        ] {
            assert!(not_a_table_name(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn what_is_read_says_what_is_done() {
        assert_eq!(RowCounts::default().to_string(), "nothing");
        let counts = RowCounts::new(58, 0, 2);
        assert_eq!(counts.to_string(), "inserted 58, deleted 2");
        let planned = PlannedRows::new(counts, 5);
        assert_eq!(
            planned.to_string(),
            "inserted 58, deleted 2 (give or take 5)"
        );
    }
}
