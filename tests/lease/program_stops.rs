//! The program stops a run: what is running ends within a second, and the answer is true.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::{
    Error, Failure, PhaseTx, Receipt, Run,
    connect::{ConnectError, Connection, Connector, PostgresConnector},
    error::{RefusalReason, RollbackCause},
    runner::StopHandle,
    switch::{KillSwitch, SwitchState, SwitchUnreadable},
};

use crate::pipeline::Draft;
use crate::server::{Database, database, does, drafting, drafting_plan, refusal, rollback};

const INSERT: &str = "INSERT INTO item VALUES ('a', 'draft')";
const SOON: Duration = Duration::from_secs(2);

type Busy = fn(&mut PhaseTx<'_>) -> Result<u64, Failure>;

/// Performs a phase, stops it once `adapter` says that it has begun, and returns how long it took from then.
fn stopped(
    database: &Database,
    stop: &StopHandle,
    adapter: impl Fn(&mut PhaseTx<'_>) -> Result<u64, Failure>,
) -> (Result<u64, Error>, Duration) {
    let draft = Draft::of(&["a"]);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let live = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                begun
                    .send(())
                    .map_err(|_| Failure::new("no thread stops it"))?;
                adapter(tx)
            }),
        )
        .stop_handle(stop);
    thread::scope(|scope| {
        let stops = scope.spawn(move || {
            has_begun.recv().expect("it begins");
            thread::sleep(Duration::from_millis(200));
            stop.stop("Ctrl-C");
            Instant::now()
        });
        let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let took = stops.join().unwrap().elapsed();
        (answer.map(phasegate::runner::LiveReport::into_value), took)
    })
}

#[test]
fn a_phase_ends_soon_during_any_activity() {
    let busy: [Busy; 5] = [
        |tx| Ok(tx.execute("SELECT pg_sleep(60)", &[])?),
        |tx| Ok(tx.execute("SELECT count(*) FROM generate_series(1, 10000000000)", &[])?),
        |tx| {
            let rows = 1_u64..;
            let done = tx.for_each_row(rows, ToString::to_string, |tx, _| {
                Ok(tx.execute("SELECT pg_sleep(0.01)", &[])?)
            })?;
            Ok(done.len() as u64)
        },
        |tx| {
            tx.batch(1_i64..).call(
                "pg_sleep",
                |_, params| params.with(&0.01_f64),
                |_, _: phasegate::batch::Discard| Ok(()),
            )?;
            Ok(1)
        },
        |tx| {
            // In a client that is busy between two statements.
            loop {
                thread::sleep(Duration::from_millis(20));
                tx.execute("SELECT 1", &[])?;
            }
        },
    ];
    for (busy, place) in busy.into_iter().zip(0..) {
        let database = database();
        let (answer, took) = stopped(&database, &StopHandle::new(), |tx| {
            tx.execute(INSERT, &[])?;
            busy(tx)
        });
        let rollback = rollback(answer);
        assert!(
            matches!(rollback.cause(), RollbackCause::Stopped(why) if why == "Ctrl-C"),
            "{place}: {rollback}"
        );
        assert!(
            rollback
                .to_string()
                .contains("stopped by the program: Ctrl-C"),
            "{rollback}"
        );
        assert!(took < SOON, "{place}: {took:?}");
        assert_eq!(database.items(), []);
        database.is_left_clean();
    }
}

#[test]
fn a_failure_that_is_dropped_after_a_stop_commits_nothing() {
    let database = database();
    let stop = StopHandle::new();
    let (answer, took) = stopped(&database, &stop, |tx| {
        tx.execute(INSERT, &[])?;
        drop(tx.execute("SELECT pg_sleep(60)", &[]));
        Ok(1)
    });
    assert!(matches!(
        rollback(answer).cause(),
        RollbackCause::Stopped(_)
    ));
    assert!(took < SOON, "{took:?}");
    assert_eq!(database.items(), []);
}

#[test]
fn a_run_that_waits_for_another_run_of_its_plan_ends_soon() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    database.admit(&plan);
    let mut other = database.admin();
    let mut other = other.transaction().unwrap();
    other
        .execute("SELECT FROM phasegate.run FOR UPDATE", &[])
        .unwrap();
    let stop = StopHandle::new();
    let waits = database
        .live(plan)
        .timeouts(phasegate::Timeouts::default().lock(Duration::from_mins(1)))
        .stop_handle(&stop);
    thread::scope(|scope| {
        let begun = Instant::now();
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            stop.stop("enough");
        });
        let refused = refusal(waits.run(|run, on| drafting(run, on, &draft).map(drop)));
        assert!(
            matches!(refused.reason(), RefusalReason::Stopped { .. }),
            "{refused}"
        );
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_run_that_was_stopped_before_begins_nothing() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let stop = StopHandle::new();
    stop.stop("not today");
    stop.stop("the first reason is kept");
    let live = database
        .live(drafting_plan(&database.target, &draft))
        .stop_handle(&stop);
    let refused = refusal(live.run(|_: &mut Run<'_, _, _>, _| -> Result<(), Error> {
        panic!("the pipeline is not entered")
    }));
    assert!(
        matches!(refused.reason(), RefusalReason::Stopped { why } if why == "not today"),
        "{refused}"
    );
    assert_eq!(refused.phase(), None);
    assert_eq!(
        format!("{:?}", stop.clone()),
        "StopHandle(Some(\"not today\"))"
    );
}

#[test]
fn a_rehearsal_ends_soon() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let stop = StopHandle::new();
    let rehearses = phasegate::RehearsalRunner::new(crate::server::PIPELINE)
        .connector(database.connector())
        .adapter(does(|_, tx| {
            stop.stop("enough");
            Ok(tx.execute("SELECT pg_sleep(60)", &[])?)
        }))
        .stop_handle(&stop);
    let begun = Instant::now();
    let answer = rehearses.run(|run, on| drafting(run, on, &draft).map(drop));
    assert!(matches!(
        rollback(answer).cause(),
        RollbackCause::Stopped(_)
    ));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// However the stop and the commit meet, what is answered is what is there.
#[test]
fn a_stop_that_races_the_commit_gets_a_true_result() {
    let database = database();
    let (mut committed, mut undone) = (0, 0);
    for try_ in 0..120_u64 {
        let name = format!("n{try_}");
        let draft = Draft::of(&[&name]);
        let stop = StopHandle::new();
        let live = database
            .live_by(
                drafting_plan(&database.target, &draft),
                does(|draft, tx| {
                    Ok(tx.execute("INSERT INTO item VALUES ($1, 'draft')", &[&draft.rows[0]])?)
                }),
            )
            .stop_handle(&stop);
        let answer = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_micros(15_000 + 350 * try_));
                stop.stop("a race");
            });
            live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        });
        let there: i64 = database.ask(&format!("SELECT count(*) FROM item WHERE name = '{name}'"));
        match answer {
            Ok(_) => {
                assert_eq!(there, 1, "{name}");
                committed += 1;
            }
            Err(error)
                if matches!(error, Error::RolledBack(_))
                    || matches!(error.reason(), Some(RefusalReason::Stopped { .. })) =>
            {
                assert_eq!(there, 0, "{name}");
                undone += 1;
            }
            Err(other) => panic!("{name}: {other}"),
        }
    }
    assert!(
        committed > 0 && undone > 0,
        "{committed} committed, {undone} not"
    );
}

/// Lets the program stop the run while the engine reads it for the second time, and is ON all the same.
struct StopsMeanwhile<'a>(&'a StopHandle, AtomicU32);

impl KillSwitch for StopsMeanwhile<'_> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        // At the beginning of the run, before the phase, and before the commit.
        if self.1.fetch_add(1, Ordering::Relaxed) == 2 {
            self.0.stop("Ctrl-C");
            // Longer than the watch waits between two looks at the handle.
            thread::sleep(Duration::from_millis(400));
        }
        Ok(SwitchState::On)
    }
}

/// Needs long for the second session, by which the watch would end the first.
struct Slow(PostgresConnector, u32);

impl Connector for Slow {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        self.1 += 1;
        if self.1 == 2 {
            thread::sleep(SOON);
        }
        self.0.connect()
    }
}

#[test]
fn a_close_is_not_sent_after_the_stop() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let stop = StopHandle::new();
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| Ok(tx.execute(INSERT, &[])?)),
        )
        .kill_switch(StopsMeanwhile(&stop, AtomicU32::new(0)))
        .connector(Slow(database.connector(), 0))
        .stop_handle(&stop)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::Stopped(_)),
        "{rollback:?}"
    );
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM item"), 0);
}

#[test]
fn each_handle_that_a_run_was_given_stops_it() {
    for given in [[true, false], [false, true]] {
        let handles = [StopHandle::new(), StopHandle::new()];
        let stops = usize::from(given[1]);
        let database = database();
        let draft = Draft::of(&["a"]);
        let stop = handles[stops].clone();
        let answer = database
            .live_by(
                drafting_plan(&database.target, &draft),
                does(move |_, tx| {
                    tx.execute(INSERT, &[])?;
                    stop.stop("enough");
                    Ok(tx.execute("SELECT pg_sleep(60)", &[])?)
                }),
            )
            .stop_handle(&handles[0])
            .stop_handle(&handles[1])
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let rollback = rollback(answer);
        assert!(
            matches!(rollback.cause(), RollbackCause::Stopped(why) if why == "enough"),
            "{given:?}: {rollback}"
        );
        // The run's stop is not the other handle's: that can stop others.
        assert_eq!(handles[1 - stops].stopped(), None);
    }
}

#[test]
fn a_handle_that_has_stopped_stops_every_run_to_come() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let stop = StopHandle::new();
    stop.stop("before it began");
    let answer = database
        .live(drafting_plan(&database.target, &draft))
        .stop_handle(&StopHandle::new())
        .stop_handle(&stop)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let refused = refusal(answer);
    assert!(
        matches!(refused.reason(), RefusalReason::Stopped { why, .. } if why == "before it began"),
        "{refused}"
    );
}
