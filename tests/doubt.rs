//! In doubt: the commit was sent and no usable response came. The error names the remedy, and the run stops.

mod pipeline;
mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use phasegate::{
    And, Attempt, Error, Failure, PhaseTx, Receipt, Sg1, Sg2, Start, Timeouts, Ungated,
    audit::{CommitEvidence, Durability},
    connect::PostgresConnector,
    error::{InDoubt, RefusalReason, Resolution, Rollback, RollbackCause},
};
use postgres::error::SqlState;

use pipeline::{Check, Draft, Enact, Publish, pipeline};
use server::proxy::{Proxy, Verdict};
use server::{Database, all, database, does, doubt, drafting, drafting_plan, refusal, rollback};

const INSERT: &str = "INSERT INTO item VALUES ('a', 'draft')";

const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a phase in doubt at once, unresolved.
const UNSETTLED: Timeouts = Timeouts::DEFAULT.resolve(Duration::ZERO);

/// What is lost of the first close.
#[derive(Clone, Copy)]
enum Fault {
    Question,
    Answer,
}

/// A proxy that loses `fault` of the first close, and nothing of the later ones.
fn closing(database: &Database, fault: Fault) -> Proxy {
    let closes = AtomicUsize::new(0);
    Proxy::new(&database.runner.config(), move |sql| {
        if !sql.contains("; COMMIT") || closes.fetch_add(1, Ordering::SeqCst) > 0 {
            return Verdict::Pass;
        }
        match fault {
            Fault::Question => Verdict::Cut,
            Fault::Answer => Verdict::CutAnswer,
        }
    })
}

/// Who performs a phase, as the server itself says: xid, backend, its start, timeline.
type Evidence = (String, i32, String, String);

fn evidence(tx: &mut PhaseTx<'_>) -> Result<Evidence, Failure> {
    let row = tx.query_one(
        "SELECT pg_current_xact_id()::text, pg_backend_pid(), \
           (SELECT to_json(backend_start) #>> '{}' FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
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

/// Performs `Draft` through a proxy that does `at_close` to the close, and returns the doubt, which
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
        .timeouts(UNSETTLED)
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

/// Resolves the doubt, twice, and returns `committed` or `rolled back`.
fn resolved(database: &Database, doubt: &InDoubt) -> &'static str {
    let resolve = || {
        doubt
            .resolve(database.connector(), PATIENCE)
            .expect("a server")
    };
    let resolved = resolve();
    assert_eq!(resolve(), resolved, "it is final");
    match resolved {
        Resolution::Committed(committed) => {
            assert_eq!(committed.xid(), doubt.xid());
            assert_eq!(committed.nonce(), doubt.nonce());
            assert_eq!(committed.evidence(), CommitEvidence::Resolved);
            "committed"
        }
        Resolution::RolledBack => "rolled back",
    }
}

#[test]
fn a_commit_whose_response_was_lost_is_in_doubt_and_committed() {
    let database = database();
    let doubt = doubted(&database, || Verdict::CutAnswer);
    assert_eq!(resolved(&database, &doubt), "committed");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_commit_that_did_not_arrive_is_in_doubt_and_rolled_back() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Cut);
    assert_eq!(resolved(&database, &doubt), "rolled back");
    assert_eq!(database.items(), []);
}

#[test]
fn a_fatal_response_to_the_commit_leaves_the_phase_in_doubt() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Fatal);
    let answer = doubt.error().downcast_ref::<postgres::Error>();
    assert_eq!(
        answer.unwrap().code(),
        Some(&SqlState::ADMIN_SHUTDOWN),
        "{answer:?}"
    );
    assert_eq!(resolved(&database, &doubt), "committed");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn the_message_says_what_not_to_do_and_what_to_ask() {
    let database = database();
    let doubt = doubted(&database, || Verdict::Cut);
    let said = format!("{doubt}; {}", doubt.hint());
    for part in [
        "phase `draft` is IN DOUBT",
        "Do not repeat it",
        "`InDoubt::resolve`",
        doubt.nonce(),
        database.target.database(),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_session_that_ends_in_the_close_leaves_the_phase_in_doubt() {
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
        let draft = Draft::of(&["a"]);
        let writes = does(|_, tx| Ok(tx.execute(INSERT, &[])?));
        database
            .live_by(drafting_plan(&database.target, &draft), writes)
            .timeouts(UNSETTLED)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    });
    let doubt = doubt(answer);
    database.is_left_clean();
    assert_eq!(resolved(&database, &doubt), "rolled back");
    assert_eq!(database.items(), []);
}

#[test]
fn a_run_in_doubt_refuses_phases_and_returns_the_doubt() {
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
        .timeouts(UNSETTLED)
        .run(|run, on| {
            let dropped = pipeline(run, on, draft.clone());
            assert!(matches!(dropped, Err(Error::InDoubt(_))), "{dropped:?}");
            let sg1 = run.approval()?;
            let Attempt::Refused { refusal, .. } = run.phase(draft).attempt(on, sg1, Start) else {
                panic!("performed again, while in doubt");
            };
            let RefusalReason::Unresolved { in_doubt, .. } = refusal.reason() else {
                panic!("{refusal}");
            };
            assert_eq!(refusal.phase(), Some("draft"));
            assert_eq!(in_doubt, "draft");
            Ok("all is well")
        });
    let doubt = doubt(answer);
    assert_eq!(doubt.phase(), "draft");
    assert_eq!(
        proxy.messages.count("BEGIN"),
        1,
        "no session was opened again"
    );
    database.is_left_clean();
    assert_eq!(resolved(&database, &doubt), "committed");
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
        .timeouts(UNSETTLED)
        .run(|run, on| -> Result<(), Error> {
            let first = drafting(run, on, &draft).map(Receipt::into_output);
            assert!(matches!(first, Err(Error::InDoubt(_))), "{first:?}");
            Err(refusal(drafting(run, on, &draft).map(Receipt::into_output)).into())
        });
    assert_eq!(doubt(answer).phase(), "draft");
}

#[test]
fn a_commit_whose_response_was_lost_is_resolved_by_the_run() {
    for (at_close, committed) in [(Fault::Answer, true), (Fault::Question, false)] {
        let database = database();
        let draft = Draft::of(&["a"]);
        let proxy = closing(&database, at_close);
        let answer = database
            .live(drafting_plan(&database.target, &draft))
            .connector(PostgresConnector::no_tls(proxy.config.clone()))
            .run(|run, on| {
                let receipt = drafting(run, on, &draft)?;
                assert_eq!(receipt.committed().evidence(), CommitEvidence::Resolved);
                assert_eq!(*receipt.committed().durability(), Durability::Unknown);
                Ok(receipt.into_output())
            });
        if committed {
            assert_eq!(answer.unwrap().value, 1);
            assert_eq!(database.items(), all(&["a"], "draft"));
        } else {
            let rollback = rollback(answer);
            let resolved = matches!(rollback.cause(), RollbackCause::NotCommitted { .. });
            assert!(resolved, "{rollback}");
            assert_eq!(database.items(), []);
        }
    }
}

#[test]
fn a_run_goes_on_when_it_has_resolved_its_doubt() {
    for (at_close, committed) in [(Fault::Answer, true), (Fault::Question, false)] {
        let database = database();
        let draft = Draft::of(&["a"]);
        let proxy = closing(&database, at_close);
        let plan = database.plan(&draft);
        let answer = database
            .live(plan)
            .connector(PostgresConnector::no_tls(proxy.config.clone()))
            .timeouts(UNSETTLED)
            .run(|run, on| {
                let sg1 = run.approval()?;
                let Attempt::InDoubt(unresolved) = run.phase(draft.clone()).attempt(on, sg1, Start)
                else {
                    panic!("not in doubt");
                };
                let drafted = match run.resolve(unresolved, PATIENCE) {
                    Attempt::Performed(receipt) if committed => receipt,
                    Attempt::RolledBack { phase, .. } if !committed => run.perform(phase)?,
                    other => panic!("{other:?}"),
                };
                let checked = run.phase(Check).perform(on, Ungated, &drafted)?;
                let sg2 = run.approval()?;
                let enacted = run.phase(Enact).perform(on, sg2, &checked)?;
                let both = run.approval::<And<Sg1, Sg2>>()?;
                run.phase(Publish).perform(on, both, (&drafted, &enacted))?;
                Ok(())
            });
        let _ = answer.unwrap();
        assert_eq!(database.items(), all(&["a"], "published"));
    }
}

/// The adapter's statement, which the proxy replaces.
const HARMLESS: &str = "SELECT 'harmless'";

/// Performs `Draft` through a proxy that ends the transaction from within by `ending`.
fn ended_from_within(database: &Database, ending: &'static str) -> Rollback {
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
    let rollback = rollback(answer);
    database.is_left_clean();
    assert_eq!(database.items(), [], "{ending}");
    rollback
}

#[test]
fn a_commit_that_is_smuggled_in_is_refused_by_the_interlock() {
    for ending in ["COMMIT", "COMMIT AND CHAIN"] {
        let rollback = ended_from_within(&database(), ending);
        let sqlstate = rollback.failure().and_then(Failure::sqlstate);
        assert_eq!(sqlstate.map(SqlState::code), Some("ZG001"), "{rollback}");
    }
}

#[test]
fn a_rollback_that_is_smuggled_in_leaves_nothing_to_be_sealed() {
    for ending in ["ROLLBACK", "ROLLBACK AND CHAIN"] {
        let rollback = ended_from_within(&database(), ending);
        let ended = matches!(rollback.cause(), RollbackCause::EndedFromWithin(_));
        assert!(ended, "{rollback}");
    }
}
