//! Off waits for commits that its check has let through, for as long as it is told to, and for
//! nothing else.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use phasegate::testing::TestPostgres;
use phasegate::{
    Receipt,
    operator::{Operator, SwitchedOff},
};
use postgres::NoTls;

use crate::hand::{Hand, code, task, tasks};
use crate::pipeline::Draft;
use crate::server::{Database, database, database_on, does, drafting, drafting_plan};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

/// A server with room for many sessions and for prepared transactions.
fn roomy() -> Database {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let server = TestPostgres::builder().ignore_database_url();
        let server = server.setting("max_connections", "200");
        server
            .setting("max_prepared_transactions", "5")
            .start()
            .unwrap()
    });
    database_on(server)
}

/// Commits wait for a standby that is dead, from here to the end of this value.
struct DeadStandby<'a>(&'a Database);

impl<'a> DeadStandby<'a> {
    fn of(database: &'a Database) -> Self {
        // A setting that is reloaded is there when every session has read it.
        database.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        database.sql("SELECT pg_reload_conf()");
        database.until("the standby is missed", |database| {
            database.ask::<String>("SHOW synchronous_standby_names") == "nobody"
        });
        DeadStandby(database)
    }
}

impl Drop for DeadStandby<'_> {
    fn drop(&mut self) {
        self.0.sql("ALTER SYSTEM RESET synchronous_standby_names");
        self.0.sql("SELECT pg_reload_conf()");
    }
}

fn alone() -> Database {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let server = TestPostgres::builder().ignore_database_url();
        server.setting("max_connections", "200").start().unwrap()
    });
    database_on(server)
}

fn pids(off: &SwitchedOff) -> Vec<i32> {
    match off {
        SwitchedOff::Drained => Vec::new(),
        SwitchedOff::Pending(holders) => {
            let mut pids: Vec<i32> = holders.iter().filter_map(|holder| holder.pid).collect();
            pids.sort_unstable();
            pids
        }
    }
}

#[test]
fn off_waits_for_a_commit_in_flight_which_is_then_visible() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.get_past_the_check();
    thread::scope(|scope| {
        let off = scope.spawn(|| database.operator().switch_off("stop", LONG));
        database.until("off waits", |database| {
            database.ask(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted \
                   AND relation = 'phasegate.kill_switch'::regclass AND mode = 'ExclusiveLock')",
            )
        });
        assert!(!off.is_finished());
        hand.commit().unwrap();
        assert_eq!(off.join().unwrap().unwrap(), SwitchedOff::Drained);
        assert_eq!(database.items().len(), 1);
    });
}

#[test]
fn off_does_not_wait_for_a_phase_which_then_cannot_commit() {
    let database = database();
    let tasks = tasks(&database, 3);
    let mut hands: Vec<Hand> = tasks.iter().map(|_| Hand::of(&database)).collect();
    for (hand, task) in hands.iter_mut().zip(&tasks) {
        hand.begin(task, &hand.pid.to_string());
    }
    let [idle, runs, waits] = &mut hands[..] else {
        unreachable!()
    };
    let mut holder = database.admin();
    let mut holder = holder.transaction().unwrap();
    holder
        .batch_execute("INSERT INTO item VALUES ('contested', 'held')")
        .unwrap();
    thread::scope(|scope| {
        let runs = scope.spawn(|| runs.client.batch_execute("SELECT pg_sleep(60)"));
        let waits = scope.spawn(|| waits.write("contested"));
        database.until("both are at it", |database| {
            database.ask::<i64>(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE application_name = 'by hand' AND wait_event IN ('PgSleep', 'transactionid')",
            ) == 2
        });
        let start = Instant::now();
        let off = database.operator().switch_off("stop", LONG).unwrap();
        let took = start.elapsed();
        assert_eq!(off, SwitchedOff::Drained);
        assert!(took < Duration::from_secs(5), "{took:?}");
        for stopped in [runs, waits] {
            let error = stopped.join().unwrap().unwrap_err();
            // The driver may see the end of the connection before it reads what was said.
            assert!(["57P01", ""].contains(&code(&error)), "{error:?}");
        }
    });
    assert!(idle.close_with("COMMIT").is_err());
    drop(holder);
    assert_eq!(database.items(), []);
    database.is_left_clean();
}

#[test]
fn off_waits_as_long_as_it_is_told_and_names_blocking_sessions() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.get_past_the_check();
    for patience in [Duration::ZERO, Duration::from_millis(400)] {
        let start = Instant::now();
        let off = database.operator().switch_off("stop", patience).unwrap();
        let took = start.elapsed();
        assert!(
            took >= patience && took < patience + Duration::from_secs(5),
            "{took:?}"
        );
        let SwitchedOff::Pending(holders) = off else {
            panic!("{off:?}")
        };
        assert_eq!(holders.len(), 1);
        assert_eq!(holders[0].pid, Some(hand.pid));
        assert_eq!(holders[0].role.as_deref(), Some(database.runner.name()));
        assert_eq!(holders[0].application_name.as_deref(), Some("by hand"));
        assert!(holders[0].since.is_some());
    }
    // The check had let it through.
    hand.commit().unwrap();
}

#[test]
fn off_with_boundless_patience_is_off() {
    let database = database();
    for patience in [Duration::from_hours(24 * 365), Duration::MAX] {
        let off = database.operator().switch_off("stop", patience);
        assert_eq!(off.unwrap(), SwitchedOff::Drained);
    }
}

#[test]
fn fifty_commits_in_flight_are_named_and_ended() {
    let database = roomy();
    let tasks = tasks(&database, 50);
    let mut hands: Vec<Hand> = tasks.iter().map(|_| Hand::of(&database)).collect();
    for (hand, task) in hands.iter_mut().zip(&tasks) {
        hand.begin(task, &hand.pid.to_string());
        hand.get_past_the_check();
    }
    let mut all: Vec<i32> = hands.iter().map(|hand| hand.pid).collect();
    all.sort_unstable();
    let mut operator = database.operator();
    let off = operator.switch_off("stop", SHORT).unwrap();
    assert_eq!(pids(&off), all);
    let ended = operator.end_commits_in_flight(LONG).unwrap();
    assert_eq!(ended, SwitchedOff::Drained);
    assert!(hands.iter_mut().all(|hand| hand.commit().is_err()));
    assert_eq!(database.items(), []);
}

#[test]
fn a_prepared_transaction_holds_off_up_and_is_named() {
    let database = roomy();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.close_with("PREPARE TRANSACTION 'by hand'").unwrap();
    let mut operator = database.operator();
    let SwitchedOff::Pending(holders) = operator.switch_off("stop", SHORT).unwrap() else {
        panic!("drained, and it can still be committed")
    };
    assert_eq!(holders[0].prepared.as_deref(), Some("by hand"));
    assert_eq!(holders[0].pid, None);
    assert_eq!(holders[0].role.as_deref(), Some(database.runner.name()));
    database.sql("ROLLBACK PREPARED 'by hand'");
    assert_eq!(
        operator.switch_off("again", LONG).unwrap(),
        SwitchedOff::Drained
    );
    assert_eq!(database.items(), []);
}

#[test]
fn off_ends_the_commits_that_wait_for_a_dead_standby() {
    const COMMITTERS: usize = 50;
    let database = alone();
    let tasks = tasks(&database, COMMITTERS);
    let hands: Vec<Hand> = tasks.iter().map(|_| Hand::of(&database)).collect();
    let mut all: Vec<i32> = hands.iter().map(|hand| hand.pid).collect();
    all.sort_unstable();
    let draft = Draft::of(&["engine"]);
    let live = database.live_by(
        drafting_plan(&database.target, &draft),
        does(|_, tx| Ok(tx.execute("INSERT INTO item VALUES ('engine', 'draft')", &[])?)),
    );
    let _dead = DeadStandby::of(&database);
    thread::scope(|scope| {
        let committers: Vec<_> = hands
            .into_iter()
            .zip(&tasks)
            .map(|(mut hand, task)| {
                scope.spawn(move || {
                    hand.begin(task, &hand.pid.to_string());
                    hand.close_with("COMMIT")
                })
            })
            .collect();
        let engine =
            scope.spawn(|| live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
        database.until("all of them wait for the standby", |database| {
            database
                .ask::<i64>("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
                == i64::try_from(COMMITTERS).expect("fifty") + 1
        });
        // An operator whose own commits would wait for it too.
        let mut operator = Operator::new(database.admin_config().connect(NoTls).unwrap());
        let start = Instant::now();
        let off = operator.switch_off("stop", SHORT).unwrap();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        let held_up_by = pids(&off);
        assert_eq!(held_up_by.len(), COMMITTERS + 1);
        assert!(all.iter().all(|pid| held_up_by.contains(pid)));
        let ended = operator.end_commits_in_flight(LONG).unwrap();
        assert_eq!(ended, SwitchedOff::Drained);
        for committer in committers {
            assert!(committer.join().unwrap().is_err());
        }
        // What it committed is there, and it finds that out.
        assert_eq!(engine.join().unwrap().unwrap().value, 1);
    });
    assert_eq!(database.items().len(), COMMITTERS + 1);
}
