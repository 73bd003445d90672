//! In doubt: the commit was sent and no usable answer came. It is said, with what settles it, and the run stops.

mod pipeline;
mod server;

use std::error::Error as _;
use std::thread;

use phasegate::{
    Attempt, Error, Failure, InDoubt, PhaseTx, PostgresConnector, Receipt, Refusal, Start,
};
use postgres::error::SqlState;

use pipeline::{Draft, pipeline};
use server::proxy::{Proxy, Verdict};
use server::{Database, all, database, does, doubt, drafting, drafting_plan, refusal};

const INSERT: &str = "INSERT INTO item VALUES ('a', 'draft')";

/// Who performs a phase, as the server itself says: xid, backend, its start, timeline.
type Evidence = (String, i32, String, String);

fn evidence(tx: &mut PhaseTx<'_>) -> Result<Evidence, Failure> {
    let row = tx.query_one(
        "SELECT pg_current_xact_id()::text, pg_backend_pid(), \
           (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
           left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)",
        &[],
    )?;
    Ok((
        row.try_get(0)?,
        row.try_get(1)?,
        row.try_get(2)?,
        row.try_get(3)?,
    ))
}

/// Performs `Draft` through a proxy that does `at_close` to the close, and answers the doubt, which
/// must have the right evidence.
fn doubted(database: &Database, at_close: fn() -> Verdict) -> InDoubt {
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), move |sql| {
        if sql.contains("; COMMIT") {
            at_close()
        } else {
            Verdict::Pass
        }
    });
    let mut seen = None;
    let writes = does(|_, tx| {
        tx.execute(INSERT, &[])?;
        seen = Some(evidence(tx)?);
        Ok(1)
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), writes)
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let doubt = doubt(answer);
    let (xid, pid, start, timeline) = seen.expect("the adapter was entered");
    assert_eq!(doubt.phase(), "draft");
    assert_eq!(*doubt.target(), database.target);
    assert_eq!((doubt.xid(), doubt.backend_pid()), (xid.as_str(), pid));
    assert_eq!(
        (doubt.backend_start(), doubt.timeline()),
        (start.as_str(), timeline.as_str())
    );
    database.is_left_clean();
    doubt
}

/// What the doubt says settles it.
fn settled(database: &Database, doubt: &InDoubt) -> String {
    database.ask(&format!("SELECT pg_xact_status('{}')", doubt.xid()))
}

#[test]
fn a_commit_whose_answer_was_lost_is_in_doubt_and_was_committed() {
    let database = database();
    let doubt = doubted(&database, || Verdict::CutAnswer);
    assert_eq!(settled(&database, &doubt), "committed");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_commit_that_did_not_arrive_is_in_doubt_and_was_not_committed() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Cut);
    assert_eq!(settled(&database, &doubt), "aborted");
    assert_eq!(database.items(), []);
}

#[test]
fn a_fatal_answer_to_the_commit_is_in_doubt_since_it_may_have_been_committed() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Fatal);
    let answer = doubt.source().unwrap().downcast_ref::<postgres::Error>();
    assert_eq!(
        answer.unwrap().code(),
        Some(&SqlState::ADMIN_SHUTDOWN),
        "{answer:?}"
    );
    assert_eq!(settled(&database, &doubt), "committed");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn the_message_says_what_not_to_do_and_what_to_ask() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Cut);
    let said = doubt.to_string();
    for part in [
        "phase `draft` is IN DOUBT",
        "Do not repeat it",
        &format!("SELECT pg_xact_status('{}')", doubt.xid()),
        &doubt.backend_pid().to_string(),
        database.target.database(),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_session_that_is_ended_in_the_middle_of_the_close_is_in_doubt() {
    let database = database();
    database.at_commit("PERFORM pg_advisory_xact_lock(1)");
    let mut admin = database.admin();
    admin.execute("SELECT pg_advisory_lock(1)", &[]).unwrap();
    let waiting = format!(
        "FROM pg_stat_activity WHERE usename = '{}' AND wait_event = 'advisory'",
        database.runner.name()
    );
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            let waits = format!("SELECT count(*) {waiting}");
            database.until("the close waits", |database| {
                database.ask::<i64>(&waits) == 1
            });
            database.ask::<bool>(&format!("SELECT pg_terminate_backend(pid) {waiting}"))
        });
        database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[])?))
    });
    let doubt = doubt(answer);
    database.is_left_clean();
    assert_eq!(settled(&database, &doubt), "aborted");
    assert_eq!(database.items(), []);
}

#[test]
fn a_run_in_doubt_refuses_further_phases_and_answers_the_doubt_whatever_the_pipeline_says() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), |sql| {
        if sql.contains("; COMMIT") {
            Verdict::CutAnswer
        } else {
            Verdict::Pass
        }
    });
    let plan = database.plan(&draft);
    let answer = database
        .live(plan)
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| {
            let dropped = pipeline(run, on, draft.clone());
            assert!(matches!(dropped, Err(Error::InDoubt(_))), "{dropped:?}");
            let sg1 = run.approval()?;
            let Attempt::Refused { refusal, .. } = run.phase(draft).attempt(on, sg1, Start) else {
                panic!("performed again, while in doubt");
            };
            let Refusal::Unsettled {
                phase, in_doubt, ..
            } = &refusal
            else {
                panic!("{refusal}");
            };
            assert_eq!((phase.as_str(), in_doubt.as_str()), ("draft", "draft"));
            Ok("all is well")
        });
    let doubt = doubt(answer);
    assert_eq!(doubt.phase(), "draft");
    assert_eq!(proxy.messages.count("BEGIN"), 1, "nobody connected again");
    database.is_left_clean();
    assert_eq!(settled(&database, &doubt), "committed");
}

#[test]
fn a_doubt_outranks_the_pipelines_own_error() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), |sql| {
        if sql.contains("; COMMIT") {
            Verdict::Cut
        } else {
            Verdict::Pass
        }
    });
    let answer = database
        .live(database.plan(&draft))
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| -> Result<(), Error> {
            let first = drafting(run, on, &draft).map(Receipt::into_output);
            assert!(matches!(first, Err(Error::InDoubt(_))), "{first:?}");
            Err(refusal(drafting(run, on, &draft).map(Receipt::into_output)).into())
        });
    assert_eq!(doubt(answer).phase(), "draft");
}

/// What stands in the adapter's statement, and what a pooler that has its own mind makes of it.
const HARMLESS: &str = "SELECT 'harmless'";

/// Performs `Draft` through a proxy that ends the transaction from within by `ending`.
fn ended_from_within(database: &Database, ending: &'static str) -> InDoubt {
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), move |_| {
        Verdict::Replace(HARMLESS, ending)
    });
    let writes = does(|_, tx| {
        tx.execute(INSERT, &[])?;
        tx.execute(HARMLESS, &[])?;
        Ok(1)
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), writes)
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let doubt = doubt(answer);
    assert!(
        doubt
            .to_string()
            .contains("ended from within before the close"),
        "{doubt}"
    );
    database.is_left_clean();
    doubt
}

#[test]
fn a_transaction_that_was_ended_from_within_is_in_doubt_and_not_a_success() {
    for (ending, status) in [
        ("COMMIT", "committed"),
        ("COMMIT AND CHAIN", "committed"),
        ("ROLLBACK", "aborted"),
        ("ROLLBACK AND CHAIN", "aborted"),
    ] {
        let database = database();
        let doubt = ended_from_within(&database, ending);
        assert_eq!(settled(&database, &doubt), status, "{ending}");
        let there = usize::from(status == "committed");
        assert_eq!(database.items().len(), there, "{ending}");
    }
}
