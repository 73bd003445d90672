//! Restores the functions, views, grants and trigger states of an installed schema, and returns an error for anything
//! else that is missing.

use std::collections::BTreeMap;

use ::postgres::Transaction;

use super::InstallError;

/// Splits SQL of this crate into statements. `sql/README.md` has the conventions that it relies on.
pub(super) fn statements(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let (mut in_string, mut in_atomic) = (false, false);
    for line in sql.lines() {
        if statement.is_empty() && (line.is_empty() || line.starts_with("--")) {
            continue;
        }
        statement += line;
        statement.push('\n');
        in_string ^= line.matches("$$").count() % 2 == 1;
        in_atomic |= line == "BEGIN ATOMIC";
        in_atomic &= line != "END;";
        let code = line.split(" --").next().unwrap_or_default().trim_end();
        if !in_string && !in_atomic && code.ends_with(';') {
            statements.push(std::mem::take(&mut statement));
        }
    }
    statements
}

/// Executes again the statements that create functions and views and that grant privileges; returns the names of what
/// has changed.
pub(super) fn repair(
    tx: &mut Transaction<'_>,
    versions: &[&str],
) -> Result<Vec<String>, InstallError> {
    let all: Vec<String> = versions.iter().flat_map(|sql| statements(sql)).collect();
    name_missing(tx, &all)?;
    let before = restorable(tx)?;
    for statement in &all {
        let create = statement
            .strip_prefix("CREATE ")
            .filter(|rest| rest.starts_with("FUNCTION ") || rest.starts_with("VIEW "));
        if let Some(rest) = create {
            tx.batch_execute(&format!("CREATE OR REPLACE {rest}"))
                .map_err(InstallError::database)?;
        }
    }
    name_foreign(&all, &restorable(tx)?)?;
    // A restore without grants leaves EXECUTE to PUBLIC, as for any new function.
    tx.batch_execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA phasegate FROM PUBLIC")
        .map_err(InstallError::database)?;
    for statement in &all {
        let enables =
            statement.starts_with("ALTER TABLE ") && statement.contains(" ENABLE ALWAYS TRIGGER ");
        if enables || statement.starts_with("GRANT ") {
            tx.batch_execute(statement)
                .map_err(InstallError::database)?;
        }
    }
    let after = restorable(tx)?;
    let repaired = after
        .iter()
        .filter(|(name, now)| before.get(*name) != Some(now));
    Ok(repaired.map(|(name, _)| name.clone()).collect())
}

/// Returns each function and view of the schema, with its definition and its privileges.
fn restorable(tx: &mut Transaction<'_>) -> Result<BTreeMap<String, String>, InstallError> {
    let sql = "SELECT p.oid::pg_catalog.regprocedure::text, \
                      pg_catalog.pg_get_functiondef(p.oid) || coalesce(( \
                          SELECT pg_catalog.string_agg(a::text, ' ' ORDER BY a::text) \
                          FROM pg_catalog.unnest(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a), '') \
               FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace \
               WHERE n.nspname = 'phasegate' \
               UNION ALL \
               SELECT c.oid::pg_catalog.regclass::text, pg_catalog.pg_get_viewdef(c.oid) \
               FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'phasegate' AND c.relkind = 'v'";
    let rows = tx.query(sql, &[]).map_err(InstallError::database)?;
    let mut found = BTreeMap::new();
    for row in rows {
        found.insert(
            row.try_get(0).map_err(InstallError::database)?,
            row.try_get(1).map_err(InstallError::database)?,
        );
    }
    Ok(found)
}

/// Returns an error if a table, a sequence or a trigger is missing: their contents cannot be restored.
fn name_missing(tx: &mut Transaction<'_>, all: &[String]) -> Result<(), InstallError> {
    let mut missing = Vec::new();
    for statement in all {
        let word = |after: &str| {
            let rest = statement.split_once(after)?.1;
            rest.split([' ', '\n', ';', '('])
                .find(|word| !word.is_empty())
        };
        let relation = statement
            .strip_prefix("CREATE ")
            .filter(|rest| {
                [
                    "TABLE ",
                    "UNLOGGED TABLE ",
                    "SEQUENCE ",
                    "UNLOGGED SEQUENCE ",
                ]
                .iter()
                .any(|kind| rest.starts_with(kind))
            })
            .and_then(|_| word("TABLE ").or_else(|| word("SEQUENCE ")));
        let trigger = ["CREATE TRIGGER ", "CREATE CONSTRAINT TRIGGER "]
            .iter()
            .find(|create| statement.starts_with(**create))
            .and_then(|create| Some((word(create)?, word(" ON ")?)));
        let (sql, names): (_, Vec<&str>) = match (relation, trigger) {
            (Some(relation), _) => (
                "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                vec![relation],
            ),
            (None, Some((trigger, table))) => (
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgname = $1 AND t.tgrelid = pg_catalog.to_regclass($2))",
                vec![trigger, table],
            ),
            (None, None) => continue,
        };
        let params: Vec<&(dyn ::postgres::types::ToSql + Sync)> =
            names.iter().map(|name| name as _).collect();
        let row = tx.query_one(sql, &params).map_err(InstallError::database)?;
        if !row.try_get::<_, bool>(0).map_err(InstallError::database)? {
            missing.push(names.join(" on "));
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(InstallError::Incomplete { missing })
    }
}

/// Returns an error if the schema has a function that this release does not have: callers would trust it.
fn name_foreign(all: &[String], found: &BTreeMap<String, String>) -> Result<(), InstallError> {
    let mut ours: BTreeMap<&str, usize> = BTreeMap::new();
    for statement in all {
        if let Some(rest) = statement.strip_prefix("CREATE FUNCTION ") {
            *ours
                .entry(rest.split('(').next().unwrap_or_default())
                .or_default() += 1;
        }
    }
    let mut foreign = Vec::new();
    for name in found.keys().filter(|name| name.contains('(')) {
        let left = name.split('(').next().and_then(|name| ours.get_mut(name));
        match left {
            Some(left) if *left > 0 => *left -= 1,
            // Made by `protect` for one table, whose columns it names.
            _ if name.starts_with("phasegate.contents_of_") => {}
            _ => foreign.push(name.clone()),
        }
    }
    if foreign.is_empty() {
        Ok(())
    } else {
        Err(InstallError::Foreign { found: foreign })
    }
}
