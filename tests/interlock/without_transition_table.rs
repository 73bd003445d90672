//! A trigger of another table that calls `count_rows()` without its transition table: the name is looked up
//! nowhere but in the schema `phasegate`.

use postgres::{Client, NoTls};
use serde_json::json;

use crate::hand::{does, psql, tell};
use crate::server::{Database, database};

/// The owner of a table, with TEMPORARY and a schema, and a member of no role. What it makes leaves the
/// role that runs it in `ran`, and in `alarm` also where the transaction is rolled back.
fn hostile(database: &Database) -> (String, Client) {
    let hostile = database.role("hostile");
    database.sql(&format!(
        "GRANT TEMPORARY ON DATABASE {here} TO {hostile}; CREATE SCHEMA own AUTHORIZATION {hostile}; \
         CREATE TABLE ran (who text); GRANT INSERT ON ran TO PUBLIC; \
         CREATE SEQUENCE alarm; GRANT USAGE ON SEQUENCE alarm TO PUBLIC",
        here = database.target.database(),
        hostile = hostile.name()
    ));
    let mut session = hostile.config().connect(NoTls).unwrap();
    for make in [
        "CREATE FUNCTION own.evil() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM pg_catalog.nextval('public.alarm'); INSERT INTO public.ran VALUES (current_user); \
           RETURN true; END $$",
        "CREATE TABLE own.t (a int)",
        "CREATE VIEW own.v AS SELECT a FROM own.t",
        "GRANT USAGE ON SCHEMA own TO PUBLIC",
        "GRANT ALL ON ALL TABLES IN SCHEMA own TO PUBLIC",
    ] {
        does(&mut session, make);
    }
    (hostile.name().to_owned(), session)
}

/// Shadows of the transition table, where a session's own search path would find them.
const SHADOWS: [&str; 4] = [
    "CREATE VIEW pg_temp.phasegate_rows AS SELECT own.evil() AS x",
    "GRANT ALL ON pg_temp.phasegate_rows TO PUBLIC",
    "CREATE VIEW own.phasegate_rows AS SELECT own.evil() AS x",
    "GRANT ALL ON own.phasegate_rows TO PUBLIC",
];

/// Every kind of trigger that can call a function, without a transition table, or with one of another name.
const TRIGGERS: [&str; 10] = [
    "TRIGGER t AFTER INSERT ON own.t",
    "TRIGGER t AFTER INSERT ON own.t FOR EACH STATEMENT",
    "TRIGGER t AFTER INSERT ON own.t FOR EACH ROW",
    "TRIGGER t BEFORE INSERT ON own.t FOR EACH STATEMENT",
    "TRIGGER t BEFORE INSERT ON own.t FOR EACH ROW",
    "TRIGGER t INSTEAD OF INSERT ON own.v FOR EACH ROW",
    "TRIGGER t AFTER INSERT ON own.t REFERENCING NEW TABLE AS others FOR EACH STATEMENT",
    "TRIGGER t AFTER INSERT ON own.t REFERENCING NEW TABLE AS \"PHASEGATE_ROWS\" FOR EACH STATEMENT",
    "CONSTRAINT TRIGGER t AFTER INSERT ON own.t FOR EACH ROW",
    "CONSTRAINT TRIGGER t AFTER INSERT ON own.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
];

fn rehearse(session: &mut Client) {
    let request = json!({
        "protocol": 1, "application_name": "by hand", "refuse_privileged_role": false, "lock_timeout": 10_000,
        "statement_timeout": 60_000, "idle_timeout": 60_000,
    });
    let open = crate::hand::open(&request).replace("phasegate.open(", "phasegate.open_rehearsal(");
    does(session, &format!("BEGIN; {open}"));
}

#[test]
fn a_shadow_of_the_transition_table_is_never_read() {
    let database = database();
    let (name, mut owner) = hostile(&database);
    for sql in SHADOWS {
        does(&mut owner, sql);
    }
    let runner = database.runner.name();
    database.sql(&format!(
        "GRANT TEMPORARY ON DATABASE {} TO {runner}; ALTER ROLE {runner} SET search_path = own, pg_temp, public",
        database.target.database()
    ));
    for (trigger, function) in TRIGGERS
        .iter()
        .flat_map(|&trigger| ["count_rows", "guard"].map(|function| (trigger, function)))
    {
        let on = if trigger.contains("own.v") {
            "own.v"
        } else {
            "own.t"
        };
        does(
            &mut owner,
            &format!("CREATE {trigger} EXECUTE FUNCTION phasegate.{function}()"),
        );
        let mut session = psql(&database);
        for shadow in &SHADOWS[..2] {
            does(&mut session, shadow);
        }
        rehearse(&mut session);
        let insert = format!("INSERT INTO {on} VALUES (1)");
        let mut said = tell(&mut session, &insert);
        for statement in [
            "SELECT phasegate.drain_rehearsal()",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "COMMIT",
        ] {
            said = said.or_else(|| tell(&mut session, statement));
        }
        drop(session);
        let ran = database.ask::<bool>("SELECT is_called FROM alarm");
        assert!(!ran, "{trigger} {function}: {said:?}");
        // A rehearsal is not committed in any case.
        let expected = if function == "count_rows" {
            "ZG025"
        } else {
            "ZG001"
        };
        assert_eq!(said.as_deref(), Some(expected), "{trigger} {function}");
        does(&mut owner, &format!("DROP TRIGGER t ON {on}"));
    }
    // The attack would have been seen.
    does(&mut owner, "SELECT * FROM own.phasegate_rows");
    assert!(database.ask::<bool>("SELECT is_called FROM alarm"));
    assert_eq!(database.ask::<String>("SELECT who FROM ran"), name);
}

#[test]
fn who_performs_no_phase_is_not_held_up_by_such_a_trigger() {
    let database = database();
    let (_, mut owner) = hostile(&database);
    does(
        &mut owner,
        "CREATE TRIGGER t AFTER INSERT ON own.t EXECUTE FUNCTION phasegate.count_rows()",
    );
    does(&mut owner, "INSERT INTO own.t VALUES (1)");
    does(&mut psql(&database), "INSERT INTO own.t VALUES (1)");
}
