//! The schema: installed in one transaction, again without effect, by two at once; and what is missing is
//! said with the call that mends it.

mod pipeline;
mod server;

use std::thread;

use phasegate::testing::{TestPostgres, TripwireAdapter};
use phasegate::{InstallError, Receipt, Refusal, install};
use postgres::{Client, NoTls};

use pipeline::Draft;
use server::{database, drafting, drafting_plan, refusal};

fn server() -> TestPostgres {
    TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("a server")
}

/// Everything that the schema consists of, as text.
fn schema(client: &mut Client) -> Vec<String> {
    let sql = "
        SELECT 'table ' || c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || c.relacl::text
        FROM pg_class AS c LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind IN ('r', 'S')
        UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = 'phasegate'::regnamespace AND NOT t.tgisinternal
        UNION ALL SELECT 'migration ' || version || name || checksum FROM phasegate.migration
        ORDER BY 1";
    let rows = client.query(sql, &[]).expect("the schema");
    rows.iter().filter_map(|row| row.get(0)).collect()
}

#[test]
fn a_second_install_changes_nothing() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    let first = install(&mut client).unwrap();
    assert_eq!(
        first.applied.first().map(String::as_str),
        Some("V1__kill_switch")
    );
    let before = schema(&mut client);
    assert!(before.len() > 50, "{before:#?}");
    assert!(install(&mut client).unwrap().applied.is_empty());
    assert_eq!(schema(&mut client), before);
}

#[test]
fn installs_at_once_into_one_database_and_into_several_do_not_meet() {
    let server = server();
    let databases: Vec<_> = (0..3).map(|_| server.create_database().unwrap()).collect();
    let applied: Vec<(usize, usize)> = thread::scope(|scope| {
        let installs: Vec<_> = (0..12)
            .map(|at| {
                let config = databases[at % 3].admin();
                scope.spawn(move || {
                    let mut client = config.connect(NoTls).unwrap();
                    (at % 3, install(&mut client).unwrap().applied.len())
                })
            })
            .collect();
        installs
            .into_iter()
            .map(|install| install.join().unwrap())
            .collect()
    });
    for database in 0..3 {
        let of_one: Vec<_> = applied.iter().filter(|(at, _)| *at == database).collect();
        let by_whom = of_one.iter().filter(|(_, versions)| *versions > 0).count();
        assert_eq!(by_whom, 1, "{applied:?}");
    }
    let schemas: Vec<_> = databases
        .iter()
        .map(|database| {
            let mut schema = schema(&mut database.admin().connect(NoTls).unwrap());
            schema.retain(|line| !line.starts_with("migration"));
            schema
        })
        .collect();
    assert!(schemas.iter().all(|schema| *schema == schemas[0]));
}

#[test]
fn an_install_that_fails_leaves_nothing() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    // Stands where the last migration wants to put a function.
    client
        .batch_execute(
            "CREATE ROLE phasegate_owner; CREATE SCHEMA phasegate AUTHORIZATION phasegate_owner; \
             CREATE FUNCTION phasegate.forget_attempts(interval) RETURNS bigint LANGUAGE sql RETURN 1",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(matches!(error, InstallError::Migration(_)), "{error}");
    assert!(error.to_string().contains("forget_attempts"), "{error}");
    let tables: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'phasegate'::regnamespace",
            &[],
        )
        .unwrap()
        .get(0);
    assert_eq!(tables, 0);
    client
        .batch_execute("DROP FUNCTION phasegate.forget_attempts(interval)")
        .unwrap();
    assert!(!install(&mut client).unwrap().applied.is_empty());
}

#[test]
fn a_schema_of_a_newer_release_and_one_that_was_altered_are_refused() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    client
        .batch_execute(
            "INSERT INTO phasegate.migration SELECT 999, 'of_the_future', applied_on, checksum \
             FROM phasegate.migration WHERE version = 1",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(
        matches!(&error, InstallError::Newer { found } if found.contains("of_the_future")),
        "{error}"
    );
    client
        .batch_execute(
            "DELETE FROM phasegate.migration WHERE version = 999; \
             UPDATE phasegate.migration SET checksum = '1' WHERE version = 2",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(
        matches!(&error, InstallError::Divergent { found } if found.contains("V2__")),
        "{error}"
    );
}

#[test]
fn a_role_that_may_not_install_is_told_who_may() {
    let server = server();
    let database = server.create_database().unwrap();
    let role = database.create_role("nobody").unwrap();
    let error = install(&mut role.config().connect(NoTls).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("install as a superuser"),
        "{error}"
    );
}

#[test]
fn a_database_that_cannot_hold_all_characters_is_refused() {
    let server = server();
    let mut admin = server.admin().connect(NoTls).unwrap();
    admin
        .batch_execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        )
        .unwrap();
    let mut config = server.admin();
    let error = install(&mut config.dbname("latin").connect(NoTls).unwrap()).unwrap_err();
    assert!(
        matches!(&error, InstallError::NotUtf8 { found } if found == "LATIN1"),
        "{error}"
    );
}

#[test]
fn without_the_schema_a_live_run_is_refused_and_the_one_call_is_named() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ready = database.live_by(plan, TripwireAdapter);
    database.sql("DROP SCHEMA phasegate CASCADE");
    let refused = refusal(ready.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    assert!(matches!(refused, Refusal::NotInstalled { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("`phasegate::install(&mut client)`"),
        "{refused}"
    );
}

#[test]
fn a_role_that_may_not_perform_phases_is_told_what_to_grant() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ready = database.live_by(plan, TripwireAdapter);
    let runner = database.runner.name();
    database.sql(&format!("REVOKE phasegate_runner FROM {runner}"));
    let refused = refusal(ready.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    let mend = format!("GRANT phasegate_runner TO {runner}");
    assert!(matches!(&refused, Refusal::NotARunner { .. }), "{refused}");
    assert!(refused.to_string().contains(&mend), "{refused}");
    database.sql(&mend);
}
