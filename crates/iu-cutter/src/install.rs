//! Puts the register into a database, and gives the runner's role what it needs: to read two tables and to call three
//! functions.
//!
//! Revokes the default privileges of PUBLIC: CREATE and TEMP on the database, and CREATE in the schema `public`.
//! Whether the runner can still do more is then asked of the server, not assumed: REVOKE only warns when it has no
//! effect, and a role can have its rights from another one. All of it is one transaction.

use postgres::error::{DbError, ErrorPosition};
use postgres::{Client, Transaction};
use thiserror::Error;

/// The register: tables and functions, without grants.
const SERVER_SQL: &str = include_str!("server.sql");

/// What the runner must not be able to do, by itself or as any role that it is a member of: one row for each.
const EXCESS_RIGHTS: &str = "
    WITH member AS (
        SELECT r.oid, r.rolname, r.rolsuper, r.rolcreaterole FROM pg_catalog.pg_roles AS r
        WHERE pg_catalog.pg_has_role($1::pg_catalog.text::pg_catalog.name, r.oid, 'MEMBER')
    ), acting AS (
        SELECT m.* FROM member AS m WHERE NOT EXISTS (SELECT FROM member AS s WHERE s.rolsuper)
    ), excess (what, who) AS (
        SELECT 'be a superuser', m.rolname FROM member AS m WHERE m.rolsuper
        UNION ALL
        SELECT 'create roles', a.rolname FROM acting AS a WHERE a.rolcreaterole
        UNION ALL
        SELECT p.name || ' in the database', a.rolname
        FROM acting AS a CROSS JOIN (VALUES ('CREATE'), ('TEMP')) AS p (name)
        WHERE pg_catalog.has_database_privilege(a.oid, pg_catalog.current_database(), p.name)
        UNION ALL
        SELECT pg_catalog.format('CREATE in the schema %I', n.nspname), a.rolname
        FROM acting AS a CROSS JOIN pg_catalog.pg_namespace AS n
        WHERE pg_catalog.has_schema_privilege(a.oid, n.oid, 'CREATE')
        UNION ALL
        SELECT pg_catalog.format('write iu.%I', c.relname), a.rolname
        FROM acting AS a CROSS JOIN pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'iu'::pg_catalog.regnamespace AND c.relkind = 'r'
          AND pg_catalog.has_table_privilege(a.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        UNION ALL
        SELECT 'read iu.withdrawn_term', a.rolname FROM acting AS a
        WHERE pg_catalog.has_table_privilege(a.oid, 'iu.withdrawn_term', 'SELECT')
    )
    SELECT pg_catalog.format('%s (as %s)', what,
                             pg_catalog.string_agg(pg_catalog.quote_ident(who), ' or ' ORDER BY who))
    FROM excess GROUP BY what ORDER BY what";

/// Why the register could not be installed. Unless it says otherwise, the database is as it was.
#[derive(Debug, Error)]
pub enum InstallError {
    /// There is no such role.
    #[error("there is no role \"{runner}\"; create it first: CREATE ROLE {} LOGIN", quoted(.runner))]
    NoSuchRunner {
        /// The name that was given.
        runner: String,
    },
    /// The database already has a schema `iu`.
    #[error(
        "the database \"{database}\" already has a schema iu; use another one, or run DROP SCHEMA iu CASCADE"
    )]
    AlreadyInstalled {
        /// The database.
        database: String,
    },
    /// The database cannot hold all characters.
    #[error(
        "the database \"{database}\" is in {encoding}; create one with TEMPLATE template0 ENCODING 'UTF8'"
    )]
    NotUtf8 {
        /// The database.
        database: String,
        /// Its encoding.
        encoding: String,
    },
    /// The runner can do more than it needs, and so could go round the functions.
    #[error(
        "the role \"{runner}\" could do more than it needs: {}; give a role without these rights, or install as the \
         owner of the database, who can revoke them",
        .rights.join(", ")
    )]
    RunnerTooPowerful {
        /// The role.
        runner: String,
        /// What it could do.
        rights: Vec<String>,
    },
    /// The server refused a statement of the script.
    #[error("{}: {}; install as a role that may create schemas in this database", script_line(.0), explain(.0))]
    Script(#[source] postgres::Error),
    /// The server refused another statement, or the connection was lost before the end.
    #[error("the register could not be installed: {}", explain(.0))]
    Database(#[from] postgres::Error),
    /// COMMIT failed. If the connection was lost, it is not known whether before or after it.
    #[error("COMMIT failed: {}; look whether the database has a schema iu before you try again", explain(.0))]
    Commit(#[source] postgres::Error),
}

/// Installs the register, owned by the role that `client` is connected as, for the existing role `runner`.
///
/// # Errors
///
/// [`InstallError`]; the transaction is rolled back, with the one exception of [`InstallError::Commit`].
pub fn install(client: &mut Client, runner: &str) -> Result<(), InstallError> {
    let mut tx = client.transaction()?;
    let database = suitable_database(&mut tx)?;
    // Compared as text: as a name, a longer one would be cut to 63 bytes, and could then be that of another role.
    let known =
        "SELECT FROM pg_catalog.pg_roles WHERE rolname::pg_catalog.text = $1::pg_catalog.text";
    if tx.query_opt(known, &[&runner])?.is_none() {
        return Err(InstallError::NoSuchRunner {
            runner: runner.to_owned(),
        });
    }
    tx.batch_execute(SERVER_SQL).map_err(InstallError::Script)?;
    grant(&mut tx, &quoted(&database), &quoted(runner))?;
    let excess = tx.query(EXCESS_RIGHTS, &[&runner])?;
    let rights = excess
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<String>, _>>()?;
    if !rights.is_empty() {
        return Err(InstallError::RunnerTooPowerful {
            runner: runner.to_owned(),
            rights,
        });
    }
    tx.commit().map_err(InstallError::Commit)
}

/// The name of the database, if the register can be installed in it.
fn suitable_database(tx: &mut Transaction<'_>) -> Result<String, InstallError> {
    let row = tx.query_one(
        "SELECT pg_catalog.current_database()::pg_catalog.text, pg_catalog.current_setting('server_encoding'), \
         pg_catalog.to_regnamespace('iu') IS NOT NULL",
        &[],
    )?;
    let (database, encoding, installed): (String, String, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    match (installed, encoding.as_str()) {
        (true, _) => Err(InstallError::AlreadyInstalled { database }),
        (false, "UTF8") => Ok(database),
        (false, _) => Err(InstallError::NotUtf8 { database, encoding }),
    }
}

/// Revokes from PUBLIC the privileges that the runner must not have, and grants the runner those that it needs; both names are quoted.
fn grant(tx: &mut Transaction<'_>, database: &str, runner: &str) -> Result<(), postgres::Error> {
    let public = tx.query_one(
        "SELECT pg_catalog.to_regnamespace('public') IS NOT NULL",
        &[],
    )?;
    if public.try_get(0)? {
        tx.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")?;
    }
    tx.batch_execute(&format!(
        "REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC;
         GRANT CONNECT ON DATABASE {database} TO {runner};
         GRANT USAGE ON SCHEMA iu TO {runner};
         GRANT SELECT ON iu.unit, iu.lifecycle_log TO {runner};
         GRANT EXECUTE ON FUNCTION iu.fn_iu_create(jsonb), iu.fn_iu_link(jsonb), iu.fn_iu_enact(jsonb) TO {runner};"
    ))
}

/// Quotes `name` as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the line of an error in `server.sql`, if the server names its position. The position counts characters, from 1.
fn script_line(error: &postgres::Error) -> String {
    let at = match error.as_db_error().and_then(DbError::position) {
        Some(ErrorPosition::Original(at)) => usize::try_from(*at).unwrap_or(1),
        _ => return "server.sql".to_owned(),
    };
    let line_ends = SERVER_SQL
        .chars()
        .take(at.saturating_sub(1))
        .filter(|&character| character == '\n');
    format!("server.sql:{}", line_ends.count() + 1)
}

/// What the server said: the driver's own message is `db error` alone.
fn explain(error: &postgres::Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        None => error.to_string(),
    }
}
