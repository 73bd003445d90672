//! A phase can be ended in its middle by the switch, the end of its lease, the end of its time.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use phasegate::{
    Error, Failure, PhaseTx, Receipt, Timeouts, connect::SqlError, error::RollbackCause,
    operator::SwitchedOff, switch::WhichSwitch,
};

use crate::pipeline::Draft;
use crate::server::{Database, database, does, drafting, drafting_plan, rollback};

const SLEEP: &str = "SELECT pg_sleep(60)";
const UNSET: [&str; 2] = [
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
];

/// What the adapter is at while its phase is stopped, and what it says then.
#[derive(Clone, Copy)]
enum At {
    /// Waits for a statement.
    Running(&'static str),
    /// Is busy without the server, then has it perform a statement.
    Idle,
    /// As `Idle`, and drops the error.
    IdleAndDeaf,
    /// Is busy without the server, then answers.
    IdleToTheEnd,
}

/// Waits until its session is gone, which an adapter would not notice.
fn idle(database: &Database, pid: i32) {
    database.until("the session is gone", |database| gone(database, pid));
}

fn gone(database: &Database, pid: i32) -> bool {
    let left = "(SELECT count(*) FROM pg_stat_activity WHERE pid = $) \
                + (SELECT count(*) FROM pg_locks WHERE pid = $)";
    let left: i64 = database.ask(&format!("SELECT {}", left.replace('$', &pid.to_string())));
    left == 0
}

fn pid(tx: &mut PhaseTx<'_>) -> Result<i32, SqlError> {
    Ok(tx.query_one("SELECT pg_backend_pid()", &[])?.get(0))
}

impl At {
    fn perform(self, database: &Database, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let pid = pid(tx)?;
        match self {
            At::Running(statement) => {
                tx.execute(statement, &[])?;
            }
            At::Idle => {
                idle(database, pid);
                tx.execute("SELECT 1", &[])?;
            }
            At::IdleAndDeaf => {
                idle(database, pid);
                assert!(tx.execute("SELECT 1", &[]).is_err());
            }
            At::IdleToTheEnd => idle(database, pid),
        }
        Ok(1)
    }
}

/// Turns the switch off in the middle of a phase; returns how long its session outlived that.
fn stopped_in(database: &Database, row: &str, at: At) -> Duration {
    let draft = Draft::of(&[row]);
    let (say, said) = mpsc::channel();
    thread::scope(|scope| {
        let phase = scope.spawn(|| {
            let say = say;
            database.draft_by(&draft, |_, tx| {
                tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
                say.send(pid(tx)?).expect("who stops it");
                at.perform(database, tx)
            })
        });
        let pid = said.recv().expect("a phase in progress");
        let state = if let At::Running(_) = at {
            "active"
        } else {
            "idle in transaction"
        };
        database.until("the adapter is at it", |database| {
            database.ask(&format!(
                "SELECT state = '{state}' AND query NOT LIKE '%INSERT%' \
                   AND clock_timestamp() > state_change + interval '20 ms' \
                 FROM pg_stat_activity WHERE pid = {pid}"
            ))
        });
        let mut looks_on = database.admin();
        let left = looks_on.prepare(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1) \
                 OR EXISTS (SELECT FROM pg_locks WHERE pid = $1)",
        );
        let left = left.unwrap();
        let mut operator = database.operator();
        let start = Instant::now();
        let off = operator
            .switch_off("in mid-phase", Duration::from_secs(10))
            .unwrap();
        while looks_on.query_one(&left, &[&pid]).unwrap().get(0) {
            assert!(start.elapsed() < Duration::from_secs(20), "it goes on");
        }
        let outlived = start.elapsed();
        assert_eq!(off, SwitchedOff::Drained);
        operator
            .switch_on("for the next", Duration::from_hours(1))
            .unwrap();
        drop(operator);
        let answer = phase.join().unwrap();
        let rollback = rollback(answer);
        let RollbackCause::SwitchOff(off) = rollback.cause() else {
            panic!("{rollback:?}");
        };
        assert_eq!(off.which(), WhichSwitch::OfTheDatabase);
        // Once it is ON again, its row does not say who turned it off.
        assert!(matches!(off.reason(), None | Some("in mid-phase")), "{off}");
        assert_eq!(database.items(), []);
        outlived
    })
}

fn is_stopped_at_once(at: At) {
    let database = database();
    let best = (0..5)
        .map(|row| stopped_in(&database, &row.to_string(), at))
        .min();
    let best = best.unwrap();
    eprintln!("stopped after {best:?}");
    assert!(best < Duration::from_millis(250), "{best:?}");
}

#[test]
fn off_ends_a_phase_that_runs_a_statement_within_250_ms() {
    is_stopped_at_once(At::Running(SLEEP));
}

#[test]
fn off_ends_a_phase_that_is_idle_within_250_ms() {
    is_stopped_at_once(At::Idle);
}

#[test]
fn the_switch_is_reported_even_if_the_adapter_drops_the_error() {
    is_stopped_at_once(At::IdleAndDeaf);
}

#[test]
fn an_adapter_that_never_calls_the_database_is_not_in_doubt() {
    is_stopped_at_once(At::IdleToTheEnd);
}

#[test]
fn off_ends_a_phase_whose_statement_runs_in_parallel() {
    let database = database();
    database.sql(
        "CREATE TABLE much AS SELECT g FROM generate_series(1, 3000) AS g; \
         ALTER TABLE much SET (parallel_workers = 2); ANALYZE much; GRANT SELECT ON much TO PUBLIC",
    );
    let (say, said) = mpsc::channel();
    thread::scope(|scope| {
        let phase = scope.spawn(|| {
            let say = say;
            database.draft_by(&Draft::of(&["a"]), |_, tx| {
                for set in [
                    "parallel_setup_cost = 0",
                    "parallel_tuple_cost = 0",
                    "min_parallel_table_scan_size = 0",
                ] {
                    tx.execute(&format!("SET {set}"), &[])?;
                }
                say.send(pid(tx)?).expect("who stops it");
                tx.execute(
                    "SELECT count(*) FROM much a, much b, much c WHERE a.g + b.g + c.g < 0",
                    &[],
                )?;
                Ok(1)
            })
        });
        let pid = said.recv().expect("a phase in progress");
        let group = format!("SELECT count(*) FROM pg_stat_activity WHERE leader_pid = {pid}");
        database.until("workers help", |database| database.ask::<i64>(&group) > 0);
        let off = database
            .operator()
            .switch_off("in mid-phase", Duration::from_secs(10));
        assert_eq!(off.unwrap(), SwitchedOff::Drained);
        database.until("all of them are gone", |database| {
            gone(database, pid) && database.ask::<i64>(&group) == 0
        });
        let rollback = rollback(phase.join().unwrap());
        assert!(
            matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
            "{rollback:?}"
        );
    });
}

#[test]
fn a_phase_stopped_while_an_operator_waits_reports_the_switch() {
    let database = database();
    let mut another = database.admin();
    let (say, said) = mpsc::channel();
    thread::scope(|scope| {
        let phase = scope.spawn(|| {
            let say = say;
            database.draft_by(&Draft::of(&["a"]), |_, tx| {
                say.send(pid(tx)?).expect("who stops it");
                tx.execute(SLEEP, &[])?;
                Ok(1)
            })
        });
        let pid = said.recv().expect("a phase in progress");
        another
            .batch_execute("BEGIN; SELECT phasegate.extend('not yet', '1 day')")
            .unwrap();
        let off = scope.spawn(|| {
            database
                .operator()
                .switch_off("stop", Duration::from_secs(10))
        });
        idle(&database, pid);
        // Asked for while the row of the switch still says ON.
        let rollback = rollback(phase.join().unwrap());
        another.batch_execute("ROLLBACK").unwrap();
        assert_eq!(off.join().unwrap().unwrap(), SwitchedOff::Drained);
        assert!(
            matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
            "{rollback:?}"
        );
    });
}

/// Performs a phase under `timeouts`, and returns why it was rolled back.
fn ended(
    database: &Database,
    timeouts: Timeouts,
    f: impl FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
) -> (phasegate::error::Rollback, Duration) {
    let draft = Draft::of(&["a"]);
    let runner = database.live_by(drafting_plan(&database.target, &draft), does(f));
    let start = Instant::now();
    let answer: Result<u64, Error> = runner
        .timeouts(timeouts)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .map(phasegate::runner::LiveReport::into_value);
    let took = start.elapsed();
    database.is_left_clean();
    assert_eq!(database.items(), []);
    (rollback(answer), took)
}

const WAYS: [At; 4] = [
    At::Running(SLEEP),
    At::Idle,
    At::IdleAndDeaf,
    At::IdleToTheEnd,
];

#[test]
fn a_lease_that_runs_out_ends_its_phase_running_or_idle() {
    for unset in [false, true] {
        for at in WAYS {
            let database = database();
            database
                .operator()
                .switch_on("not long", Duration::from_millis(700))
                .unwrap();
            let (rollback, took) = ended(&database, Timeouts::default(), |_, tx| {
                for unset in UNSET.iter().filter(|_| unset) {
                    tx.execute(*unset, &[])?;
                }
                at.perform(&database, tx)
            });
            assert!(
                matches!(rollback.cause(), RollbackCause::LeaseOver),
                "{rollback:?}"
            );
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

#[test]
fn a_phase_whose_time_is_over_is_ended_running_or_idle() {
    let quick = Timeouts::default().phase(Duration::from_millis(500));
    for unset in [false, true] {
        for at in WAYS {
            let database = database();
            let (rollback, took) = ended(&database, quick, |_, tx| {
                for unset in UNSET.iter().filter(|_| unset) {
                    tx.execute(*unset, &[])?;
                }
                at.perform(&database, tx)
            });
            assert!(
                matches!(rollback.cause(), RollbackCause::TimeOver),
                "{rollback:?}"
            );
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
    }
}

#[test]
fn a_phase_that_times_out_in_the_close_has_a_certain_outcome() {
    let quick = Timeouts::default()
        .phase(Duration::from_millis(500))
        .resolve(Duration::ZERO);
    for body in [
        "PERFORM pg_sleep(60)",
        "PERFORM set_config('statement_timeout', '0', false); PERFORM pg_sleep(60)",
    ] {
        let database = database();
        database.at_commit(body);
        let (rollback, took) = ended(&database, quick, |_, tx| {
            Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
        });
        assert!(
            matches!(rollback.cause(), RollbackCause::TimeOver),
            "{rollback:?}"
        );
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_phase_that_survives_a_cancelled_close_is_resolved() {
    let quick = Timeouts::default().phase(Duration::from_millis(500));
    let database = database();
    database.at_commit(
        "BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(60); END",
    );
    let (rollback, took) = ended(&database, quick, |_, tx| {
        Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
    });
    assert!(
        matches!(rollback.cause(), RollbackCause::TimeOver),
        "{rollback:?}"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
}
