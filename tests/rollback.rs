//! A phase that fails in any way leaves nothing behind, and names its row.

mod pipeline;
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch, TripwireAdapter, TripwireConnector};
use phasegate::{
    Error, Failure, LiveRunner, PhaseTx, Receipt, connect::PostgresConnector, error::RollbackCause,
};
use postgres::NoTls;
use postgres::error::SqlState;

use pipeline::Draft;
use server::proxy::{Proxy, Verdict};
use server::{Database, PIPELINE, all, database, does, drafting, drafting_plan, refusal, rollback};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// Nothing is in the table, no lock is held, and the session is gone.
fn is_as_before(database: &Database) {
    assert_eq!(database.items(), []);
    assert_eq!(database.locks(), 0, "locks were left");
    database.is_left_clean();
}

#[test]
fn a_failure_at_row_2_names_row_and_constraint_leaving_nothing() {
    let database = database();
    database.sql("ALTER TABLE item ADD CONSTRAINT no_secrets CHECK (name NOT LIKE 'secret%')");
    let draft = Draft::of(&["a", "secret-4711", "c"]);
    let answer = database
        .live(drafting_plan(&database.target, &draft))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let rollback = rollback(answer);
    let (failure, row) = (rollback.failure().unwrap(), rollback.row().unwrap());
    assert_eq!((row.ordinal(), row.key()), (2, "secret-4711"));
    assert_eq!(failure.sqlstate(), Some(&SqlState::CHECK_VIOLATION));
    assert_eq!(failure.constraint(), Some("no_secrets"));
    assert!(failure.detail().unwrap().contains("(secret-4711, draft)"));
    let said = rollback.to_string();
    for part in [
        "phase `draft` (live)",
        "row 2",
        "23514",
        "no_secrets",
        "nothing of it remains",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for quiet in [said, format!("{rollback:?}")] {
        assert!(!quiet.contains("Failing row contains"), "{quiet}");
    }
    is_as_before(&database);
}

#[test]
fn rows_that_are_not_valid_are_refused_before_connecting() {
    let rows = Draft::of(&["a", "", "c"]);
    // A dry run refuses them too, so the plan is of another program.
    let plan = drafting_plan(&server::nowhere(), &Draft::of(&["a"]));
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| drafting(run, on, &rows).map(Receipt::into_output));
    let refusal = refusal(answer);
    assert_eq!(
        refusal.row().map(phasegate::error::InputRow::ordinal),
        Some(2)
    );
    assert!(refusal.to_string().contains("refused, row 2"), "{refusal}");
}

#[test]
fn an_adapter_that_fails_after_writing_leaves_nothing() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        Err(Failure::new("changed my mind"))
    });
    let rollback = rollback(answer);
    assert!(
        rollback.to_string().contains("failed: changed my mind"),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn a_rollback_is_sent_and_not_left_to_the_end_of_the_connection() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), |_| Verdict::Pass);
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, _| Err(Failure::new("no"))),
        )
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    rollback(answer);
    assert_eq!(
        proxy.messages.so_far().last().map(String::as_str),
        Some("ROLLBACK")
    );
}

#[test]
fn an_adapter_that_panics_leaves_nothing_and_can_be_tried_again() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let mut first = true;
    let panics_once = does(|_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        assert!(!std::mem::take(&mut first), "in the middle of the phase");
        Ok(1)
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), panics_once)
        .run(|run, on| {
            let tried = catch_unwind(AssertUnwindSafe(|| drafting(run, on, &draft).map(drop)));
            let panic = tried.unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"in the middle of the phase"));
            is_as_before(&database);
            drafting(run, on, &draft).map(Receipt::into_output)
        });
    assert_eq!(answer.unwrap().value, 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

/// Ends the session that the phase is in, as an administrator would.
fn terminate(database: &Database, tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    let pid: i32 = tx.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?;
    let ended: bool = database.ask(&format!("SELECT pg_terminate_backend({pid}, 20000)"));
    assert!(ended, "the session is gone");
    Ok(())
}

#[test]
fn a_connection_that_is_lost_in_the_middle_leaves_nothing() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        terminate(&database, tx)?;
        Ok(tx.execute(INSERT, &[&"b"])?)
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::Failed(_)),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn a_lost_connection_whose_error_is_dropped_is_no_success() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        terminate(&database, tx)?;
        let _dropped = tx.execute(INSERT, &[&"b"]);
        Ok(1)
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::ConnectionLost),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn a_deferred_constraint_that_fails_at_the_commit_is_named() {
    let database = database();
    database.sql(
        "ALTER TABLE item ADD CONSTRAINT one_of_each UNIQUE (state) DEFERRABLE INITIALLY DEFERRED",
    );
    let draft = Draft::of(&["a", "b"]);
    let answer = database
        .live(drafting_plan(&database.target, &draft))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let rollback = rollback(answer);
    let RollbackCause::CommitRefused(failure) = rollback.cause() else {
        panic!("{rollback}");
    };
    assert_eq!(failure.sqlstate(), Some(&SqlState::UNIQUE_VIOLATION));
    assert_eq!(failure.constraint(), Some("one_of_each"));
    assert!(
        rollback
            .to_string()
            .contains("refused by the server at the commit"),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn a_deferred_trigger_of_the_owners_can_refuse_the_commit() {
    let database = database();
    database.at_commit("RAISE 'not on a Sunday' USING ERRCODE = 'ZZ001'");
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[&"a"])?));
    let rollback = rollback(answer);
    let RollbackCause::CommitRefused(failure) = rollback.cause() else {
        panic!("{rollback}");
    };
    assert_eq!(failure.sqlstate().map(SqlState::code), Some("ZZ001"));
    assert!(
        rollback.to_string().contains("not on a Sunday"),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn a_phase_whose_commit_was_refused_can_be_tried_again() {
    let database = database();
    database.at_commit("RAISE 'too late'");
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let dropped = database.live(plan.clone()).run(|run, on| {
        rollback(drafting(run, on, &draft).map(Receipt::into_output));
        Ok(())
    });
    let Err(Error::Incomplete(incomplete)) = dropped else {
        panic!("{dropped:?}");
    };
    assert_eq!(incomplete.performed(), [""; 0]);
    assert_eq!(incomplete.missing(), ["draft"]);
    is_as_before(&database);
    let tried_again = database.live(plan).run(|run, on| {
        rollback(drafting(run, on, &draft).map(Receipt::into_output));
        database.sql("ALTER TABLE item DISABLE TRIGGER at_commit");
        drafting(run, on, &draft).map(Receipt::into_output)
    });
    assert_eq!(tried_again.unwrap().value, 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_failed_statement_whose_error_is_dropped_is_no_success() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        let _dropped = tx.execute("SELECT 1 / 0", &[]);
        Ok(1)
    });
    let rollback = rollback(answer);
    let RollbackCause::Swallowed { statement, .. } = rollback.cause() else {
        panic!("{rollback}");
    };
    assert_eq!(
        statement.as_deref(),
        Some("division by zero (SQLSTATE 22012)")
    );
    assert!(
        rollback.to_string().contains("returned Ok although"),
        "{rollback}"
    );
    is_as_before(&database);
}

#[test]
fn the_bare_driver_would_have_called_that_a_success() {
    let database = database();
    database.sql("SELECT phasegate.unprotect('item')");
    let mut client = database.runner.config().connect(NoTls).unwrap();
    let mut tx = client.transaction().unwrap();
    tx.execute(INSERT, &[&"a"]).unwrap();
    let _dropped = tx.execute("SELECT 1 / 0", &[]);
    tx.commit().expect("the driver says that it is committed");
    assert_eq!(database.items(), [], "and it is not");
}

#[test]
fn what_an_adapter_or_the_server_says_is_printed_on_one_line() {
    const FORGED: &str = "\u{1b}[2J\nphase `draft`: committed";
    let database = database();
    let draft = Draft::of(&["a"]);
    let answers = [
        database.draft_by(&draft, |_, _| Err(Failure::new(FORGED).at_row(1, FORGED))),
        database.draft_by(&draft, |_, tx| {
            let raise = "DO $$ BEGIN RAISE '%', chr(27) || '[2J' || chr(10) || 'forged'; END $$";
            Ok(tx.execute(raise, &[])?)
        }),
    ];
    for answer in answers {
        let said = rollback(answer).to_string();
        assert!(!said.contains(char::is_control), "{said:?}");
        assert!(said.contains("\\u{1b}[2J\\n"), "{said}");
    }
    is_as_before(&database);
}
