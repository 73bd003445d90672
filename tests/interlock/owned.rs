//! What a runner owns, others perform: an application that writes a table of the runner's performs its rules, in which
//! the runner's privileges count and the guard sees the application's session. Such ownership is named and refused.

use postgres::NoTls;

use crate::powers::refused_until_remedied;
use crate::server::database;

#[test]
fn a_rule_of_the_runners_table_writes_a_guarded_table_for_an_application() {
    let database = database();
    let application = database.role("application");
    database.sql(&format!(
        "ALTER ROLE {1} LOGIN; CREATE TABLE staging (name text); ALTER TABLE staging OWNER TO {0}; \
         GRANT INSERT ON staging TO {1}",
        database.runner.name(),
        application.name()
    ));
    // The hole: it needs no privilege but the ownership.
    database
        .runner
        .config()
        .connect(NoTls)
        .unwrap()
        .batch_execute(
            "CREATE RULE also AS ON INSERT TO staging DO ALSO INSERT INTO item VALUES (NEW.name, 'late')",
        )
        .unwrap();
    application
        .config()
        .connect(NoTls)
        .unwrap()
        .batch_execute("INSERT INTO staging VALUES ('outside of any phase')")
        .unwrap();
    assert_eq!(database.items().len(), 1);
    // The refusal.
    let owns = "it owns public.staging, which other roles may write";
    refused_until_remedied(&database, "SELECT", &[owns]);
}

#[test]
fn an_owner_of_what_others_write_or_call_is_refused() {
    for (sql, what) in [
        (
            "CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO RUNNER; GRANT UPDATE (a) ON mine TO PUBLIC",
            "it owns public.mine, which other roles may write",
        ),
        (
            "CREATE VIEW seen AS SELECT 1 AS a; ALTER VIEW seen OWNER TO RUNNER; GRANT DELETE ON seen TO GROUP",
            "it owns public.seen, which other roles may write",
        ),
        (
            "CREATE TABLE ours (a int); ALTER TABLE ours OWNER TO GROUP",
            "as GROUP, it owns public.ours, which other roles may write",
        ),
        (
            "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN 1; ALTER FUNCTION f OWNER TO RUNNER; \
             REVOKE EXECUTE ON FUNCTION f FROM PUBLIC",
            "it owns the function public.f(integer)",
        ),
        (
            "CREATE PROCEDURE p() LANGUAGE sql AS ''; ALTER PROCEDURE p OWNER TO GROUP",
            "as GROUP, it owns the function public.p()",
        ),
        (
            "CREATE DOMAIN d AS int; ALTER DOMAIN d OWNER TO RUNNER",
            "it owns the domain public.d",
        ),
    ] {
        refused_until_remedied(&database(), sql, &[what]);
    }
}

#[test]
fn a_table_that_the_runner_alone_writes_is_its_own_affair() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO {0}; GRANT SELECT ON mine TO PUBLIC",
        database.runner.name()
    ));
    let powers: i64 = database.ask(&format!(
        "SELECT count(*) FROM phasegate.bypass_privileges('{}')",
        database.runner.name()
    ));
    assert_eq!(powers, 0);
}
