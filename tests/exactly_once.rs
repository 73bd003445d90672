//! Exactly once: running a plan again returns the receipts of committed phases, and goes on after them.

mod pipeline;
mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use phasegate::testing::{ApprovesEverything, Calls, Recorder, TripwireAdapter};
use phasegate::{
    Error, Failure, Receipt, Timeouts,
    approval::{ApprovalRequest, ApprovalStatement, Attestation, Authority, Denied},
    audit::CommitEvidence,
    error::RefusalReason,
    runner::{Ending, Event},
};
use postgres::error::SqlState;

use pipeline::{Adapter, Draft, pipeline};
use server::{Database, all, database, does, drafting, drafting_plan, refusal, rollback};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// Runs the whole pipeline, of which the server refuses the last phase if `fails`.
fn whole(database: &Database, draft: &Draft, calls: &Calls, fails: bool) -> Result<u64, Error> {
    if fails {
        database.sql("ALTER TABLE item ADD CONSTRAINT unpublished CHECK (state <> 'published')");
    } else {
        database.sql("ALTER TABLE item DROP CONSTRAINT IF EXISTS unpublished");
    }
    database
        .live_by(database.plan(draft), Recorder::new(Adapter, calls))
        .run(|run, on| pipeline(run, on, draft.clone()))
        .map(phasegate::runner::LiveReport::into_value)
}

#[test]
fn a_plan_that_stopped_half_way_goes_on_where_it_stopped() {
    let (database, draft) = (database(), Draft::of(&["a", "b"]));
    let first = Calls::new();
    let stopped = rollback(whole(&database, &draft, &first, true));
    assert_eq!(stopped.phase(), "publish");
    assert_eq!(stopped.committed(), ["draft", "check", "enact"]);
    let second = Calls::new();
    assert_eq!(whole(&database, &draft, &second, false).unwrap(), 2);
    assert_eq!(second.so_far(), ["execute publish"]);
    assert_eq!(database.items(), all(&["a", "b"], "published"));
}

#[test]
fn a_performed_plan_returns_the_same_receipts_again() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let plan = drafting_plan(&database.target, &draft);
    let first = database
        .live(plan.clone())
        .run(|run, on| Ok(drafting(run, on, &draft)?.committed().clone()))
        .unwrap();
    assert_eq!((first.performed, first.committed_before), (1, 0));
    let first = first.value;
    assert_eq!(first.evidence(), CommitEvidence::Answered);
    database.sql("DELETE FROM item");
    let mut endings = Vec::new();
    let (said, heard) = mpsc::channel();
    let ran = database
        .live_by(plan, TripwireAdapter)
        .observer(move |event: &Event<'_>| {
            if let Event::Ends { ending, .. } = event {
                said.send(*ending).unwrap();
            }
        })
        .run(|run, on| {
            let receipt = drafting(run, on, &draft)?;
            let committed = receipt.committed().clone();
            Ok((receipt.into_output(), committed))
        })
        .unwrap();
    // Nothing was performed, and that is said.
    assert_eq!((ran.performed, ran.committed_before), (0, 1));
    let said_of_it = ran.to_string();
    for part in [
        "nothing was performed",
        "the last at 20",
        "make another plan",
    ] {
        assert!(said_of_it.contains(part), "{said_of_it}");
    }
    let (output, again) = ran.into_value();
    endings.extend(heard.try_iter());
    assert_eq!(endings, [Ending::AlreadyCommitted]);
    assert_eq!(output, 1, "as it was left then");
    assert_eq!(again.evidence(), CommitEvidence::Before);
    assert_eq!(
        (
            again.xid(),
            again.nonce(),
            again.place(),
            again.journal_hash()
        ),
        (
            first.xid(),
            first.nonce(),
            first.place(),
            first.journal_hash()
        )
    );
    assert_eq!(database.items(), [], "it was not performed again");
}

/// Approves everything for a moment only.
struct Brief(Duration);

impl Authority for Brief {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let given = ApprovesEverything.attest(request)?;
        let statement = ApprovalStatement {
            expires: SystemTime::now() + self.0,
            ..given.statement().clone()
        };
        Ok(Attestation::assert_verified(statement, given.approver()))
    }
}

#[test]
fn a_spent_approval_may_have_expired_when_the_plan_runs_again() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let plan = drafting_plan(&database.target, &draft);
    let live = |lasts| {
        database
            .live(plan.clone())
            .authority(Brief(lasts))
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    assert!(matches!(
        refusal(live(Duration::ZERO)).reason(),
        RefusalReason::Approval { .. }
    ));
    assert_eq!(live(Duration::from_hours(1)).unwrap().value, 1);
    assert_eq!(live(Duration::ZERO).unwrap().value, 1);
}

#[test]
fn another_input_for_the_same_plan_is_refused_after_a_commit() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let plan = drafting_plan(&database.target, &draft);
    let live = |draft: &Draft| {
        database
            .live(plan.clone())
            .run(|run, on| drafting(run, on, draft).map(Receipt::into_output))
    };
    let other = Draft::of(&["b"]);
    assert!(matches!(
        refusal(live(&other)).reason(),
        RefusalReason::InputChanged { .. }
    ));
    assert_eq!(live(&draft).unwrap().value, 1);
    assert!(matches!(
        refusal(live(&other)).reason(),
        RefusalReason::InputChanged { .. }
    ));
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn of_two_runs_of_one_plan_one_performs_and_the_other_waits() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let plan = drafting_plan(&database.target, &draft);
    let performed = AtomicUsize::new(0);
    let live = || {
        let slowly = does(|_, tx| {
            performed.fetch_add(1, Ordering::SeqCst);
            tx.execute("SELECT pg_sleep(0.3)", &[])?;
            Ok(tx.execute(INSERT, &[&"a"])?)
        });
        database
            .live_by(plan.clone(), slowly)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(live)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Ok(ran) if ran.value == 1)),
        "{answers:?}"
    );
    assert_eq!(performed.load(Ordering::SeqCst), 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_run_that_waited_for_too_long_names_who_performs_the_plan() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let plan = drafting_plan(&database.target, &draft);
    let (entered, is_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let may_go_on = Mutex::new(may_go_on);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let holds = does(|_, tx| {
                let pid: i32 = tx.query_one("SELECT pg_backend_pid()", &[])?.try_get(0)?;
                entered.send(pid)?;
                may_go_on.lock().unwrap().recv()?;
                Ok(tx.execute(INSERT, &[&"a"])?)
            });
            database
                .live_by(plan.clone(), holds)
                .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        });
        let pid = is_entered.recv().unwrap();
        let second = database
            .live_by(plan.clone(), TripwireAdapter)
            .timeouts(Timeouts::default().lock(Duration::from_millis(100)))
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let refusal = refusal(second);
        let RefusalReason::Held {
            holder: Some(holder),
            ..
        } = refusal.reason()
        else {
            panic!("{refusal}");
        };
        assert_eq!(holder.pid, Some(pid));
        assert_eq!(holder.role.as_deref(), Some(database.runner.name()));
        assert_eq!(
            holder
                .application_name
                .as_deref()
                .and_then(|name| name.split_once(": ")),
            Some((
                &*format!("phasegate {} 1/1", &plan.digest().to_string()[..8]),
                "small/draft"
            ))
        );
        assert!(
            refusal.to_string().contains(&format!("process {pid}")),
            "{refusal}"
        );
        go_on.send(()).unwrap();
        assert_eq!(first.join().unwrap().unwrap().value, 1);
    });
}

/// Performs `Draft` by an adapter that fails with `sqlstate` as often as `fails` says, and answers
/// how that ended, and how often it was called.
fn failing(sqlstate: &str, fails: usize, retries: u32) -> (Result<u64, Error>, usize, Vec<String>) {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let (tries, calls) = (AtomicUsize::new(0), Calls::new());
    let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'once' USING ERRCODE = '{sqlstate}'; END $$");
    let adapter = does(|_, tx| {
        let done = tx.execute(INSERT, &[&"a"])?;
        if tries.fetch_add(1, Ordering::SeqCst) < fails {
            tx.execute(&raise, &[])?;
        }
        Ok(done)
    });
    let told = calls.clone();
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), adapter)
        .retries(retries)
        .observer(move |event: &Event<'_>| {
            if let Event::TriesAgain {
                attempt, sqlstate, ..
            } = event
            {
                told.record(format!("{attempt} {sqlstate}"));
            }
        })
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(database.items().len(), usize::from(answer.is_ok()));
    (
        answer.map(phasegate::runner::LiveReport::into_value),
        tries.into_inner(),
        calls.so_far(),
    )
}

#[test]
fn a_transient_failure_is_retried_as_a_whole_and_bounded() {
    for sqlstate in ["40001", "40P01", "55P03"] {
        let (answer, tries, told) = failing(sqlstate, 2, 2);
        assert_eq!((answer.unwrap(), tries), (1, 3), "{sqlstate}");
        assert_eq!(told, [format!("2 {sqlstate}"), format!("3 {sqlstate}")]);
        let (answer, tries, _) = failing(sqlstate, 3, 2);
        let code = rollback(answer)
            .failure()
            .and_then(Failure::sqlstate)
            .map(SqlState::code)
            .map(str::to_owned);
        assert_eq!((code.as_deref(), tries), (Some(sqlstate), 3));
        let (answer, tries, _) = failing(sqlstate, 1, 0);
        rollback(answer);
        assert_eq!(tries, 1);
    }
}

#[test]
fn nothing_else_is_tried_again() {
    for sqlstate in ["23505", "57014", "ZG002", "P0001", "22012"] {
        let (answer, tries, told) = failing(sqlstate, 1, 5);
        rollback(answer);
        assert_eq!((tries, told.len()), (1, 0), "{sqlstate}");
    }
}

#[test]
fn a_retry_is_not_made_once_the_kill_switch_is_off() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    let tries = AtomicUsize::new(0);
    let adapter = does(|_, tx| {
        tries.fetch_add(1, Ordering::SeqCst);
        tx.execute(
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
            &[],
        )
        .map_err(Failure::from)
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), adapter)
        .kill_switch(phasegate::testing::ScriptedSwitch::on_for(2))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    rollback(answer);
    assert_eq!(tries.into_inner(), 1);
}

#[test]
fn a_real_deadlock_is_got_over() {
    let (database, draft) = (database(), Draft::of(&["a"]));
    database.sql("INSERT INTO item VALUES ('x', 'theirs'), ('y', 'theirs')");
    let tries = AtomicUsize::new(0);
    let (locked, is_locked) = mpsc::channel::<()>();
    let is_locked = Mutex::new(is_locked);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            let mut admin = database.admin();
            let mut tx = admin.transaction().unwrap();
            // The other one finds the deadlock: it is the one that waits for less long.
            tx.batch_execute("SET LOCAL deadlock_timeout = '60s'; UPDATE item SET state = 'mine' WHERE name = 'y'")
                .unwrap();
            is_locked.lock().unwrap().recv().unwrap();
            tx.execute("UPDATE item SET state = 'mine' WHERE name = 'x'", &[]).unwrap();
            tx.commit().unwrap();
        });
        let crosses = does(|_, tx| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            tx.execute("UPDATE item SET state = 'ours' WHERE name = 'x'", &[])?;
            if first {
                locked.send(())?;
            }
            tx.execute("UPDATE item SET state = 'ours' WHERE name = 'y'", &[])?;
            Ok(2)
        });
        database
            .live_by(drafting_plan(&database.target, &draft), crosses)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    });
    assert_eq!(answer.unwrap().value, 2);
    assert_eq!(tries.into_inner(), 2);
    assert_eq!(database.items(), all(&["x", "y"], "ours"));
}
