//! Settings that mean something else: the closing message says what it says, in every encoding.

use crate::hand::{
    Attempt, DRAIN, INSERT, does, finish, held_by_hand, psql, refuses, rolled_back_by,
};
use crate::pipeline::Draft;
use crate::server::{Database, database, drafting_plan};

#[test]
fn a_name_of_the_schema_cannot_be_shadowed_by_another_schema_of_its_name() {
    let database = database();
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
