//! Names, types, operators and settings that mean something else: the owner runs nobody's code but its
//! own, and the closing message says what it says.

use phasegate::{Error, Receipt};
use postgres::Client;

use crate::hand::{
    Attempt, DRAIN, INSERT, WAYS, does, finish, held_by_hand, psql, refuses, rolled_back_by, say,
};
use crate::pipeline::Draft;
use crate::server::{Database, all, database, drafting, drafting_plan};

/// A database in which the runner may make temporary objects, and whoever runs `evil` leaves a row.
fn where_temporary_objects_can_be_made() -> Database {
    let database = database();
    database.sql(&format!(
        "GRANT TEMPORARY ON DATABASE {} TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC; \
         CREATE TABLE ran (who text, what text); GRANT INSERT ON ran TO PUBLIC",
        database.target.database()
    ));
    database
}

/// Each of these leaves a row with the role that runs it, and what it was given.
fn shadows() -> Vec<String> {
    let mut made = vec![
        "CREATE FUNCTION pg_temp.evil(what text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO public.ran VALUES (current_user, what); RETURN true; END $$"
            .to_owned(),
    ];
    for domain in [
        "uuid",
        "text",
        "jsonb",
        "bytea",
        "int8",
        "int4",
        "bool",
        "timestamptz",
        "regclass",
    ] {
        made.push(format!(
            "CREATE DOMAIN pg_temp.\"{domain}\" AS pg_catalog.{domain} CHECK (pg_temp.evil('{domain}'))"
        ));
    }
    for (function, takes, answers) in [
        ("decode", "text, text", "bytea"),
        ("sha256", "bytea", "bytea"),
        ("convert_from", "bytea, name", "text"),
        ("current_setting", "text", "text"),
        ("clock_timestamp", "", "timestamptz"),
        ("pg_current_xact_id_if_assigned", "", "xid8"),
        ("pg_sequence_last_value", "regclass", "bigint"),
        ("pg_has_role", "name, name, text", "boolean"),
        ("jsonb_build_object", "VARIADIC \"any\"", ""),
    ] {
        if !answers.is_empty() {
            made.push(format!(
                "CREATE FUNCTION pg_temp.{function}({takes}) RETURNS {answers} LANGUAGE plpgsql AS $$ BEGIN \
                   PERFORM pg_temp.evil('{function}'); RETURN NULL; END $$"
            ));
        }
    }
    made.push(
        "CREATE FUNCTION pg_temp.same(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN \
           RETURN pg_temp.evil('operator'); END $$"
            .to_owned(),
    );
    for operator in ["=", "<>"] {
        made.push(format!(
            "CREATE OPERATOR pg_temp.{operator} (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = pg_temp.same)"
        ));
    }
    for view in [
        "pg_locks",
        "pg_class",
        "pg_cursors",
        "pg_roles",
        "pg_trigger",
        "pg_stat_activity",
        "attempt",
        "kill_switch",
    ] {
        made.push(format!(
            "CREATE VIEW pg_temp.{view} AS SELECT pg_temp.evil('{view}') AS is_holdable"
        ));
    }
    made.push("SET search_path = pg_temp, public, pg_catalog".to_owned());
    made.push("SET standard_conforming_strings = off".to_owned());
    made.push("SET quote_all_identifiers = on".to_owned());
    made
}

#[track_caller]
fn nobody_was_made_to_run_it(database: &Database) {
    let ran: String =
        database.ask("SELECT coalesce(string_agg(DISTINCT who || ' ' || what, ', '), '') FROM ran");
    assert_eq!(ran, "", "what the runner made was run");
    // And would have been seen.
    let mut session = psql(database);
    session.simple_query(&shadows()[0]).unwrap();
    does(&mut session, "SELECT pg_temp.evil('itself')");
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM ran"), 1);
    database.sql("DELETE FROM ran");
}

fn make_shadows(session: &mut Client) {
    for shadow in shadows() {
        if let Err(error) = session.simple_query(&shadow) {
            panic!("{shadow}: {:?}", error.as_db_error());
        }
    }
}

#[test]
fn the_owner_runs_nothing_that_the_runner_has_put_into_the_temporary_schema() {
    for way in WAYS {
        let database = where_temporary_objects_can_be_made();
        let mut session = psql(&database);
        make_shadows(&mut session);
        let attempt = Attempt::admitted(&database);
        refuses(
            &mut session,
            "INSERT INTO public.item VALUES ('before')",
            "ZG007",
        );
        // In a transaction that has made nothing itself; what it makes would be seen as DDL.
        let mut statements = vec![attempt.begin()];
        statements.push("INSERT INTO public.item VALUES ('a', 'draft')".to_owned());
        statements.extend(attempt.close());
        assert_eq!(say(&mut session, way, &statements), [""; 0]);
        for call in [
            "SELECT pg_catalog.count(*) FROM phasegate.powers_of('x')",
            "SELECT pg_catalog.count(*) FROM phasegate.switch_status()",
            "SELECT pg_catalog.count(*) FROM phasegate.phases_in_progress()",
            "SELECT pg_catalog.count(*) FROM phasegate.commits_in_flight()",
            "SELECT pg_catalog.count(*) FROM phasegate.journal_of('')",
            "SELECT pg_catalog.count(*) FROM phasegate.holder_of_run('')",
            "SELECT phasegate.settle('00000000000000000000000000000000', pg_catalog.now(), 0, pg_catalog.now(), '1 s')",
        ] {
            does(&mut session, call);
        }
        drop(session);
        assert_eq!(database.items(), all(&["a"], "draft"));
        nobody_was_made_to_run_it(&database);
    }
}

#[test]
fn a_phase_that_shadows_everything_while_it_is_open_reaches_neither_the_owner_nor_the_close() {
    let database = where_temporary_objects_can_be_made();
    let draft = Draft::of(&["a"]);
    let adapter = crate::server::does(|_, tx| {
        for shadow in shadows() {
            tx.execute(&shadow, &[])?;
        }
        Ok(tx.execute("INSERT INTO public.item VALUES ('a', 'draft')", &[])?)
    });
    let run = || -> Result<u64, Error> {
        database
            .live_by(drafting_plan(&database.target, &draft), adapter)
            .despite_a_role_that_could_get_round_the_interlock()
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    assert_eq!(run().unwrap(), 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
    nobody_was_made_to_run_it(&database);
}

#[test]
fn a_name_of_the_schema_cannot_be_shadowed_by_another_schema_of_its_name() {
    let database = where_temporary_objects_can_be_made();
    for make in [
        "CREATE SCHEMA phasegate",
        "CREATE SCHEMA pg_catalog",
        "CREATE SCHEMA pg_mine",
    ] {
        let refused = crate::hand::tell(&mut psql(&database), make);
        assert!(
            matches!(refused.as_deref(), Some("42501" | "42P06" | "42939")),
            "{refused:?}"
        );
    }
}

/// What a session may set by itself, and what could have meant something to the schema.
const SETTINGS: [&str; 34] = [
    "search_path = ''",
    "search_path = public, pg_catalog",
    "standard_conforming_strings = off",
    "escape_string_warning = off",
    "backslash_quote = on",
    "quote_all_identifiers = on",
    "transform_null_equals = on",
    "array_nulls = off",
    "bytea_output = 'escape'",
    "datestyle = 'German'",
    "intervalstyle = 'iso_8601'",
    "timezone = 'Pacific/Kiritimati'",
    "extra_float_digits = -15",
    "xmloption = 'document'",
    "lc_numeric = 'C'",
    "row_security = off",
    "check_function_bodies = off",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_read_only = on",
    "default_transaction_deferrable = on",
    "plpgsql.extra_errors = 'all'",
    "plpgsql.extra_warnings = 'all'",
    "plpgsql.check_asserts = off",
    "plpgsql.print_strict_params = on",
    "plan_cache_mode = 'force_generic_plan'",
    "enable_indexscan = off",
    "jit_above_cost = 0",
    "stats_fetch_consistency = 'snapshot'",
    "client_min_messages = 'debug5'",
    "synchronous_commit = off",
    "lock_timeout = 0",
    "statement_timeout = 0",
    "idle_in_transaction_session_timeout = 0",
    "application_name = 'somebody else'",
];

/// Which the name of the server's version decides.
fn parallel(database: &Database) -> &'static str {
    if database.ask::<bool>("SELECT current_setting('server_version_num')::int >= 160000") {
        "debug_parallel_query = on"
    } else {
        "force_parallel_mode = on"
    }
}

#[test]
fn no_setting_of_a_session_lets_a_commit_or_a_write_pass_nor_spoils_a_phase() {
    let database = database();
    let runner = database.runner.name();
    for setting in SETTINGS.into_iter().chain([parallel(&database)]) {
        // From the login on, and in the phase.
        let name = setting.split(' ').next().unwrap();
        let set = setting.replacen('=', "TO", 1);
        database.sql(&format!("ALTER ROLE {runner} SET {set}"));
        let read_only = name == "default_transaction_read_only";
        refuses(
            &mut psql(&database),
            "UPDATE public.item SET state = 'x'",
            if read_only { "25006" } else { "ZG007" },
        );

        let draft = Draft::of(&[setting]);
        let in_a_phase = format!("SET {set}");
        let done = database.draft_by(&draft, |draft, tx| {
            tx.execute(&in_a_phase, &[])?;
            Ok(tx.execute("INSERT INTO public.item VALUES ($1)", &[&draft.rows[0]])?)
        });
        assert_eq!(done.expect(setting), 1);
        let attempt = Attempt::of(&drafting_plan(&database.target, &Draft::of(&[name])), 1);
        database.admit(&attempt.plan);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, &in_a_phase);
        does(&mut session, "UPDATE public.item SET state = 'smuggled'");
        refuses(&mut session, "COMMIT", "ZG001");
        database.sql(&format!("ALTER ROLE {runner} RESET {name}"));
    }
    let smuggled: i64 = database.ask("SELECT count(*) FROM item WHERE state = 'smuggled'");
    assert_eq!(smuggled, 0);
    let effects: String = database
        .ask("SELECT string_agg(DISTINCT body::jsonb ->> 'effects', ', ') FROM phasegate.journal");
    assert_eq!(
        effects,
        r#"{"public.item": {"deleted": 0, "updated": 0, "inserted": 1}}"#
    );
}

#[test]
fn the_closing_message_means_the_same_in_every_encoding() {
    let database = database();
    for encoding in [
        "LATIN1",
        "SJIS",
        "BIG5",
        "GBK",
        "GB18030",
        "UHC",
        "JOHAB",
        "EUC_JP",
        "SQL_ASCII",
    ] {
        let draft = Draft::of(&[encoding]);
        let done = database.draft_by(&draft, |draft, tx| {
            let inserted = tx.execute("INSERT INTO item VALUES ($1, '')", &[&draft.rows[0]])?;
            tx.execute(&format!("SET client_encoding = '{encoding}'"), &[])?;
            Ok(inserted)
        });
        assert_eq!(done.expect(encoding), 1);
    }
    assert_eq!(database.items().len(), 9);
}

#[test]
fn what_a_phase_does_to_its_own_timeouts_and_modes_can_only_roll_it_back() {
    let database = database();
    for (last, code) in [
        ("SET transaction_read_only = on", "25006"),
        ("SET TRANSACTION READ ONLY", "25006"),
    ] {
        held_by_hand(&database, &[last, "COMMIT"], "ZG001");
        let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
            tx.execute(INSERT, &[])?;
            Ok(tx.execute(last, &[])? + 1)
        });
        rolled_back_by(&database, answer, code);
    }
    // A lock that the commit has to wait for, and no time to wait.
    let mut operator = database.admin();
    operator
        .batch_execute("BEGIN; LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE")
        .unwrap();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    for statement in [attempt.seal(), DRAIN.to_owned(), finish("1")] {
        does(&mut session, &statement);
    }
    does(&mut session, "SET lock_timeout = 1");
    refuses(&mut session, "COMMIT", "55P03");
    drop(session);
    drop(operator);
    crate::hand::nothing_committed(&database);
}
