//! Further ways that were tried, and that the wall holds against.

use postgres::NoTls;
use serde_json::json;

use crate::hand::{
    Attempt, DRAIN, INSERT, WAYS, code, does, finish, held_by_hand, nothing_committed, open, psql,
    refuses, rolled_back_by, say, tell,
};
use crate::pipeline::Draft;
use crate::server::{all, database};

#[test]
fn a_check_that_was_made_inside_a_savepoint_that_is_taken_back_is_made_again() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    for statement in [
        &attempt.seal(),
        DRAIN,
        &finish("1"),
        "SAVEPOINT s",
        DRAIN,
        "ROLLBACK TO s",
    ] {
        does(&mut session, statement);
    }
    // Its lock on the switch is gone too, so that this does not wait; and nobody ends the session.
    database.sql(
        "SET lock_timeout = '5 s'; LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE; \
                  UPDATE phasegate.kill_switch SET is_on = false",
    );
    refuses(&mut session, "COMMIT", "ZG002");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn constraints_that_are_immediate_before_the_opening_refuse_it() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    for immediate in [DRAIN, "SET CONSTRAINTS phasegate.interlock IMMEDIATE"] {
        let message = format!("BEGIN; {immediate}; {}", attempt.open());
        refuses(&mut psql(&database), &message, "ZG001");
    }
    nothing_committed(&database);
}

#[test]
fn an_interlock_that_is_put_off_again_and_again_still_fires_at_the_commit() {
    let database = database();
    let later = "SET CONSTRAINTS ALL DEFERRED";
    held_by_hand(&database, &[later, later, "COMMIT"], "ZG001");
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    for statement in [
        &attempt.begin(),
        INSERT,
        &attempt.seal(),
        DRAIN,
        later,
        &finish("1"),
        later,
    ] {
        does(&mut session, statement);
    }
    database.sql("UPDATE phasegate.kill_switch SET is_on = false");
    refuses(&mut session, "COMMIT", "ZG002");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_read_only_transaction_opens_no_phase() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let open = format!("BEGIN; SET TRANSACTION READ ONLY; {}", attempt.open());
    refuses(&mut psql(&database), &open, "25006");
    nothing_committed(&database);
}

#[test]
fn a_cursor_that_was_opened_early_does_not_write_late() {
    let database = database();
    database.sql(
        "CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN \
           INSERT INTO item VALUES ('late'); RETURN 1; END $$",
    );
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    let cursor = "DECLARE c CURSOR FOR SELECT writes()";
    for statement in [
        &attempt.begin(),
        cursor,
        &attempt.seal(),
        DRAIN,
        &finish("1"),
    ] {
        does(&mut session, statement);
    }
    refuses(&mut session, "FETCH c", "ZG007");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_statement_that_was_prepared_in_a_phase_does_not_write_outside() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    let insert = session.prepare(INSERT).unwrap();
    session.execute(&insert, &[]).unwrap();
    does(&mut session, "ROLLBACK");
    assert_eq!(code(&session.execute(&insert, &[]).unwrap_err()), "ZG007");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn savepoints_inside_a_phase_change_nothing_about_whose_it_is() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(
        &mut session,
        &format!("BEGIN; SAVEPOINT a; {}", attempt.open()),
    );
    for statement in [
        "SAVEPOINT b",
        INSERT,
        "RELEASE b",
        "RELEASE a",
        "SAVEPOINT c",
    ] {
        does(&mut session, statement);
    }
    does(&mut session, "UPDATE item SET state = 'enacted'");
    assert_eq!(say(&mut session, WAYS[0], &attempt.close()), [""; 0]);
    assert_eq!(database.items(), all(&["smuggled"], "enacted"));
}

#[test]
fn code_in_the_drain_reads_the_secret_and_can_do_nothing_with_it() {
    let database = database();
    database.sql(
        "CREATE TABLE read (what text); GRANT INSERT ON read TO PUBLIC; \
         CREATE FUNCTION reads() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO public.read VALUES (substring(current_query() FROM 'seal\\(pg_catalog.decode\\(''([0-9a-f]+)')); \
           BEGIN \
             PERFORM phasegate.seal(decode((SELECT substring(current_query() FROM 'decode\\(''([0-9a-f]+)')), 'hex')); \
             INSERT INTO public.read VALUES ('sealed'); \
           EXCEPTION WHEN SQLSTATE 'ZG001' THEN INSERT INTO public.read VALUES ('refused'); END; \
           RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER reads AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION reads(); \
         SELECT phasegate.protect('read')",
    );
    let done = database.draft_by(&Draft::of(&["a"]).and("public.read"), |_, tx| {
        Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM read WHERE what ~ '^[0-9a-f]{64}$'"),
        1
    );
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM read WHERE what = 'refused'"),
        1
    );
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM read WHERE what = 'sealed'"),
        0
    );
}

#[test]
fn nothing_of_the_phase_can_read_the_secret_before_the_close() {
    let database = database();
    let runner = database.runner.name();
    // Even with the right to read every table of the schema.
    database.sql(&format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA phasegate TO {runner}; GRANT pg_monitor TO {runner}"
    ));
    let mut seen = String::new();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let rows = tx.query(
            "SELECT encode(lock, 'hex') || nonce FROM phasegate.attempt \
             UNION ALL SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() \
             UNION ALL SELECT statement FROM pg_prepared_statements \
             UNION ALL SELECT statement FROM pg_cursors",
            &[],
        )?;
        seen = rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect();
        assert!(rows.len() > 1);
        // What is there is the lock; and it is not what opens it.
        tx.execute("DO $$ DECLARE l bytea; BEGIN SELECT lock INTO STRICT l FROM phasegate.attempt; \
             PERFORM phasegate.seal(l); RAISE 'sealed'; EXCEPTION WHEN SQLSTATE 'ZG001' THEN NULL; END $$", &[])?;
        Ok(1)
    });
    assert_eq!(done.unwrap(), 1);
    assert!(!seen.contains("phasegate.seal("), "{seen}");
}

#[test]
fn a_trigger_that_finishes_in_the_engines_place_rolls_the_phase_back() {
    let database = database();
    database.sql(
        "CREATE FUNCTION finishes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM phasegate.finish('\"forged\"'); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER finishes AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION finishes()",
    );
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[])?));
    rolled_back_by(&database, answer, "ZG001");
}

#[test]
fn the_same_nonce_and_the_same_plan_in_another_spelling_are_the_same() {
    let database = database();
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    let first = Attempt::of(&plan, 1);
    let mut session = psql(&database);
    does(&mut session, &first.begin());
    assert_eq!(say(&mut session, WAYS[0], &first.close()), [""; 0]);
    let digest = plan.digest().to_string().to_uppercase();
    for nonce in [
        format!("{{{}}}", first.nonce.to_uppercase()),
        format!("{}-{}", &first.nonce[..8], &first.nonce[8..]),
    ] {
        let request = Attempt::of(&plan, 2).request_but(&json!({ "nonce": nonce, "plan": digest }));
        refuses(&mut session, &format!("BEGIN; {}", open(&request)), "ZG019");
        does(&mut session, "ROLLBACK");
    }
    // Committed under one spelling of the plan, it is committed under the other.
    let request = first.again().request_but(&json!({ "plan": digest }));
    does(&mut session, &format!("BEGIN; {}", open(&request)));
    refuses(&mut session, INSERT, "ZG007");
}

#[test]
fn a_request_that_makes_no_sense_opens_nothing() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    for changed in [
        json!({ "place": 1.5 }),
        json!({ "place": "one" }),
        json!({ "place": 1e99 }),
        json!({ "nonce": null }),
        json!({ "nonce": "mine" }),
        json!({ "plan": "not hex" }),
        json!({ "lock_timeout": "soon" }),
        json!({ "lock_timeout": -5 }),
        json!({ "statement_timeout": -5 }),
        json!({ "idle_timeout": -5 }),
        json!({ "statement_timeout": "1; SELECT 1" }),
        json!({ "refuse_privileged_role": "perhaps" }),
    ] {
        let statement = format!("BEGIN; {}", open(&attempt.request_but(&changed)));
        let refused = tell(&mut psql(&database), &statement);
        assert!(refused.is_some(), "{changed}");
    }
    for bytes in ["", "00", "ff", "7b", "5b5d", "6e756c6c", "2222"] {
        let open = format!("BEGIN; SELECT phasegate.open(pg_catalog.decode('{bytes}', 'hex'))");
        assert!(tell(&mut psql(&database), &open).is_some(), "{bytes}");
    }
    nothing_committed(&database);
}

#[test]
fn one_approval_does_not_stand_for_two_gates() {
    let database = database();
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    for place in 1..=3 {
        let attempt = Attempt::of(&plan, place);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        match place {
            1 => does(&mut session, INSERT),
            3 => does(&mut session, "UPDATE item SET state = 'enacted'"),
            _ => {}
        }
        assert_eq!(say(&mut session, WAYS[0], &attempt.close()), [""; 0]);
    }
    let last = Attempt::of(&plan, 4);
    let approvals = last.request()["approvals"].clone();
    for wrong in [
        json!([approvals[0], approvals[0]]),
        json!([approvals[1], approvals[0]]),
        json!([approvals[0]]),
    ] {
        let request = last.request_but(&json!({ "approvals": wrong }));
        refuses(
            &mut psql(&database),
            &format!("BEGIN; {}", open(&request)),
            "ZG013",
        );
    }
    does(&mut psql(&database), &last.begin());
}

#[test]
fn resolving_ends_no_session_but_one_of_the_caller_and_disturbs_no_open_phase() {
    let database = database();
    let other = database.role("other");
    let mut theirs = other.config().connect(NoTls).unwrap();
    let attempt = Attempt::admitted(&database);
    let mut phase = psql(&database);
    does(&mut phase, &attempt.begin());
    does(&mut phase, INSERT);
    let who = "SELECT format('%s, %L', pid, backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let pid: String = theirs.query_one(who, &[]).unwrap().get(0);
    let mut rogue = psql(&database);
    let plan = attempt.plan.digest();
    let resolve = |nonce: &str, pid: &str| {
        format!(
            "SELECT phasegate.resolve(decode('{plan}', 'hex'), '{nonce}', clock_timestamp(), {pid}, '50 ms')"
        )
    };
    does(&mut rogue, &resolve(&attempt.again().nonce, &pid));
    // A nonce that is open keeps the resolver waiting, and not the other way round.
    refuses(&mut rogue, &resolve(&attempt.nonce, "0, now()"), "55P03");
    does(&mut theirs, "SELECT 1");
    assert_eq!(say(&mut phase, WAYS[0], &attempt.close()), [""; 0]);
    assert_eq!(database.items(), all(&["smuggled"], "draft"));
}

#[test]
fn an_operator_that_resolves_ends_sessions_of_runners_in_this_database_and_no_other() {
    let database = database();
    let (operator, other) = (database.role("operator"), database.role("other"));
    database.sql(&format!("GRANT phasegate_operator TO {}", operator.name()));
    let mut session = operator.config().connect(NoTls).unwrap();
    let who = "SELECT format('%s, %L', pid, backend_start) FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let mut elsewhere = database.runner.config();
    elsewhere.dbname("postgres");
    let sessions = [
        (other.config(), true),
        (elsewhere, true),
        (database.runner.config(), false),
    ];
    for (number, (config, lives)) in sessions.into_iter().enumerate() {
        let mut victim = config.connect(NoTls).unwrap();
        let pid: String = victim.query_one(who, &[]).unwrap().get(0);
        does(
            &mut session,
            &format!(
                "SELECT phasegate.resolve('', '{number:032x}', clock_timestamp(), {pid}, '10 s')"
            ),
        );
        assert_eq!(victim.execute("SELECT 1", &[]).is_ok(), lives, "{number}");
    }
}

#[test]
fn a_phase_that_is_opened_while_the_switch_goes_off_is_ended_too() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    // An operator who has turned it off waits for another one, who turns it on meanwhile.
    let mut other = database.admin();
    other
        .batch_execute("BEGIN; LOCK TABLE phasegate.switch_history IN ROW SHARE MODE")
        .unwrap();
    let mut off = database.admin();
    let switching =
        std::thread::spawn(move || off.execute("SELECT phasegate.switch_off('a test')", &[]));
    database.until("it waits", |database| {
        database.ask("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'phasegate.switch_history'::regclass)")
    });
    other
        .batch_execute("SELECT setval('phasegate.epoch', epoch) FROM phasegate.kill_switch")
        .unwrap();
    let mut phase = psql(&database);
    does(&mut phase, &attempt.begin());
    does(&mut phase, INSERT);
    other.batch_execute("COMMIT").unwrap();
    switching.join().unwrap().unwrap();
    nothing_committed(&database);
    drop(phase);
}
