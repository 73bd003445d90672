//! The owner runs no code but its own, with a shadow of each name that the schema uses beside it:
//! into its temporary schema, and into another schema of its search path.

use std::sync::OnceLock;

use phasegate::testing::TestPostgres;
use phasegate::{Error, Receipt, operator::Operator};
use postgres::{Client, NoTls};
use serde_json::json;

use crate::hand::{Attempt, does, psql, refuses, say, tell};
use crate::pipeline::Draft;
use crate::server::{Database, all, database_on, drafting, drafting_plan};

const HOSTILE_PATH: &str = "mine, pg_temp, public, pg_catalog";

/// A database in which the runner owns a schema full of shadows, which every session searches first.
fn shadowed(types: bool) -> Database {
    // So many objects in one transaction want more locks than a server has for the tests beside it.
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        TestPostgres::builder()
            .ignore_database_url()
            .setting("max_locks_per_transaction", "1024")
            .start()
            .expect("a server")
    });
    let database = database_on(server);
    let runner = database.runner.name();
    database.sql(&format!(
        "{} CREATE SCHEMA mine AUTHORIZATION {runner}; GRANT USAGE ON SCHEMA mine TO PUBLIC; \
         GRANT TEMPORARY ON DATABASE {} TO PUBLIC",
        include_str!("shadows.sql"),
        database.target.database()
    ));
    let guilty = format!("current_user <> '{runner}'");
    make(&mut psql(&database), "mine", types, &guilty);
    database
}

/// More than a few, and none that could not be made.
fn make(session: &mut Client, place: &str, types: bool, guilty: &str) {
    let make = "SELECT public.make_shadows($1, $2, $3)";
    let row = session.query_one(make, &[&place, &types, &guilty]);
    let row = row.unwrap_or_else(|error| panic!("{:?}", error.as_db_error()));
    assert!(row.get::<_, i64>(0) > 1_000);
}

/// Shadows in the temporary schema of a session, which then searches for every name there first.
fn make_temporary(session: &mut Client, types: bool) {
    make(session, "pg_temp", types, "current_user <> session_user");
    session
        .batch_execute(&format!("SET search_path = {HOSTILE_PATH}"))
        .unwrap();
}

#[track_caller]
fn none_ran(database: &Database) {
    let ran: String =
        database.ask("SELECT coalesce(string_agg(DISTINCT who || ' ' || what, ', '), '') FROM ran");
    assert_eq!(ran, "");
    assert!(!database.ask::<bool>("SELECT is_called FROM alarm"));
}

/// An alarm is rung where one of them runs as another role.
#[test]
fn a_shadow_that_another_role_runs_is_noticed() {
    for types in [false, true] {
        let database = shadowed(types);
        let shadow = if types {
            "SELECT 'a'::mine.text"
        } else {
            "SELECT FROM mine.attempt"
        };
        for shadow in [shadow, "SELECT 1 OPERATOR(mine.=) 1", "SELECT mine.now()"] {
            does(&mut psql(&database), shadow);
            none_ran(&database);
            database.sql(shadow);
            assert!(
                database.ask::<bool>("SELECT is_called FROM alarm"),
                "{shadow}"
            );
            database.sql("ALTER SEQUENCE alarm RESTART; DELETE FROM ran");
        }
    }
}

/// A phase and a rehearsal by hand, and everything that a runner may call beside them.
#[test]
fn a_runner_makes_the_owner_run_no_shadow() {
    for types in [false, true] {
        let database = shadowed(types);
        let mut session = psql(&database);
        make_temporary(&mut session, types);
        refuses(
            &mut session,
            "INSERT INTO public.item VALUES ('before')",
            "ZG007",
        );
        let attempt = Attempt::admitted(&database);
        // In a transaction that has made nothing itself; what it makes would be seen as DDL.
        let mut phase = vec![attempt.begin()];
        phase.extend(["INSERT INTO public.item VALUES ('a', 'draft')".to_owned()]);
        phase.extend(attempt.close());
        assert_eq!(say(&mut session, crate::hand::WAYS[0], &phase), [""; 0]);
        rehearse(&mut session);
        call_everything(&database, &mut session);
        drop(session);
        assert_eq!(database.items(), all(&["a"], "draft"));
        none_ran(&database);
    }
}

fn rehearse(session: &mut Client) {
    let request = json!({
        "protocol": 1, "application_name": "by hand", "refuse_privileged_role": true, "lock_timeout": 10_000,
        "statement_timeout": 60_000, "idle_timeout": 60_000,
    });
    for refuses_powers in [true, false] {
        let mut request = request.clone();
        request["refuse_privileged_role"] = json!(refuses_powers);
        let open = crate::hand::open(&request);
        let open = open.replace("phasegate.open(", "phasegate.open_rehearsal(");
        let said = tell(session, &format!("BEGIN; {open}"));
        assert_eq!(said.as_deref(), refuses_powers.then_some("ZG018"));
        if refuses_powers {
            does(session, "ROLLBACK");
        }
    }
    let begin = crate::hand::open(&request).replace("phasegate.open(", "phasegate.rehearse(");
    for statement in [
        &*begin,
        "INSERT INTO public.item VALUES ('b', 'draft'), ('c', 'draft')",
        "UPDATE public.item SET state = 'x'",
        "SELECT phasegate.drain_rehearsal()",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "SELECT phasegate.measure_rehearsal()",
    ] {
        does(session, statement);
    }
    refuses(session, "COMMIT", "ZG001");
}

/// Calls every function of the schema that the session may call, with nulls and with values.
fn call_everything(database: &Database, session: &mut Client) {
    let calls = "SELECT 'SELECT * FROM phasegate.' || p.proname || '(' || (
            SELECT coalesce(string_agg('CAST(' || CASE WHEN given = 'null' THEN 'NULL' ELSE quote_literal(
                CASE t.typname
                    WHEN 'bytea' THEN '' WHEN 'int4' THEN '1' WHEN 'int8' THEN '1' WHEN 'int2' THEN '1'
                    WHEN 'bool' THEN 'true' WHEN 'interval' THEN '2 days' WHEN 'oid' THEN '1'
                    WHEN 'jsonb' THEN '{\"statements\": []}' WHEN 'regclass' THEN 'public.item'
                    WHEN 'uuid' THEN '00000000000000000000000000000000' WHEN 'timestamptz' THEN 'now'
                    WHEN '_text' THEN '{}' WHEN '_int4' THEN '{}' WHEN 'int2vector' THEN '' ELSE 'x' END)
                END || format(' AS %I.%I)', n.nspname, t.typname), ', ' ORDER BY a.place), '')
            FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)
            JOIN pg_type AS t ON t.oid = a.type JOIN pg_namespace AS n ON n.oid = t.typnamespace) || ')'
         FROM pg_proc AS p, unnest(ARRAY['null', 'value']) AS given
         WHERE p.pronamespace = 'phasegate'::regnamespace AND p.prorettype <> 'trigger'::regtype
           AND p.proname <> 'perform_row'";
    let calls = database.admin().query(calls, &[]).unwrap();
    assert!(calls.len() > 100);
    for call in &calls {
        // Most of them refuse.
        let _ = session.simple_query(call.get(0));
    }
}

#[test]
fn other_roles_make_the_owner_run_no_shadow_and_run_none_of_a_runners() {
    for types in [false, true] {
        let database = shadowed(types);
        for group in ["", "phasegate_operator", "phasegate_auditor"] {
            let role = database.role("role");
            if !group.is_empty() {
                database.sql(&format!("GRANT {group} TO {}", role.name()));
            }
            let mut session = role.config().connect(NoTls).unwrap();
            make_temporary(&mut session, types);
            call_everything(&database, &mut session);
            none_ran(&database);
        }
        let mut admin = database.admin();
        admin
            .batch_execute(&format!("SET search_path = {HOSTILE_PATH}"))
            .unwrap();
        for _ in 0..2 {
            phasegate::schema::unprotect(&mut admin, "public.item").unwrap();
            phasegate::schema::protect(&mut admin, "public.item").unwrap();
        }
        call_everything(&database, &mut admin);
        none_ran(&database);
    }
}

/// What the library says to the server, as an operator and as a runner.
#[test]
fn the_library_makes_no_session_run_a_shadow() {
    for types in [false, true] {
        let database = shadowed(types);
        let role = database.role("operator");
        database.sql(&format!(
            "GRANT phasegate_operator, phasegate_auditor TO {0}; ALTER ROLE {0} SET search_path = {HOSTILE_PATH}",
            role.name()
        ));
        let runner = database.runner.name();
        database.sql(&format!(
            "ALTER ROLE {runner} SET search_path = {HOSTILE_PATH}"
        ));
        let draft = Draft::of(&["a"]);
        let plan = drafting_plan(&database.target, &draft);
        let mut operator = Operator::new(role.config().connect(NoTls).unwrap());
        let _ = operator.admit_plan(&plan).unwrap();
        let run = || -> Result<u64, Error> {
            let adapter = crate::server::does(|_, tx| {
                // While the phase is open too.
                tx.query(
                    "SELECT public.make_shadows('pg_temp', $1, 'current_user <> session_user')",
                    &[&types],
                )?;
                Ok(tx.execute("INSERT INTO public.item VALUES ('a', 'draft')", &[])?)
            });
            database
                .live_by(plan.clone(), adapter)
                .dangerously_allow_privileged_role()
                .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
                .map(phasegate::runner::LiveReport::into_value)
        };
        assert_eq!(run().unwrap(), 1);
        assert_eq!(database.items(), all(&["a"], "draft"));
        none_ran(&database);
    }
}

/// A cast belongs to no schema: it takes the owner of one of its types to make one.
#[test]
fn a_cast_between_types_of_the_catalog_cannot_be_made() {
    let database = shadowed(false);
    let mut session = psql(&database);
    for (from, to) in [("text", "jsonb"), ("xid8", "int8"), ("text", "bytea")] {
        does(
            &mut session,
            &format!(
                "CREATE FUNCTION mine.cast_{to}({from}) RETURNS {to} LANGUAGE sql RETURN NULL::pg_catalog.{to}"
            ),
        );
        let cast = format!(
            "CREATE CAST ({from} AS {to}) WITH FUNCTION mine.cast_{to}({from}) AS IMPLICIT"
        );
        refuses(&mut session, &cast, "42501");
    }
}
