//! Several operators at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::operator::{Operator, SwitchedOff};
use postgres::NoTls;

use crate::hand::{Hand, task};
use crate::server::{Database, database};

const LONG: Duration = Duration::from_secs(20);
const ROUNDS: usize = 24;

/// Four operators turn it on and off as fast as they can; returns when each call began and ended,
/// by its why.
fn to_and_fro(database: &Database) -> HashMap<String, (Instant, Instant)> {
    let calls = Mutex::new(HashMap::new());
    thread::scope(|scope| {
        for who in 0..4 {
            let calls = &calls;
            scope.spawn(move || {
                let mut operator = Operator::new(database.admin());
                for round in 0..ROUNDS {
                    let why = format!("{who} {round}");
                    let start = Instant::now();
                    if (who + round) % 2 == 0 {
                        operator.switch_on(&why, LONG * 100).expect("on");
                    } else {
                        let _ = operator.switch_off(&why, LONG).expect("off");
                    }
                    calls.lock().unwrap().insert(why, (start, Instant::now()));
                }
            });
        }
    });
    calls.into_inner().unwrap()
}

#[test]
fn of_concurrent_operators_the_last_in_the_history_counts() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let database = database();
        let name = database.target.database();
        database.sql(&format!(
            "ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"
        ));
        let calls = to_and_fro(&database);
        let mut client = database.admin();
        let query = "SELECT reason, is_on, at FROM phasegate.switch_history WHERE reason ~ '^[0-9]' ORDER BY epoch";
        let history = client.query(query, &[]).unwrap();
        assert_eq!(history.len(), calls.len());
        // Of two calls of which one was over before the other began, the first has the earlier epoch.
        let spans: Vec<_> = history
            .iter()
            .map(|row| calls[row.get::<_, &str>(0)])
            .collect();
        for (place, (start, _)) in spans.iter().enumerate() {
            let mut later = spans[place + 1..].iter();
            assert!(
                later.all(|(_, end)| end > start),
                "{isolation}: call {place} in the order of epochs"
            );
        }
        let status = database.operator().status().unwrap();
        let last = history.last().unwrap();
        assert_eq!(status.on, last.get::<_, bool>(1), "{isolation}: {status:?}");
        assert_eq!(status.why, last.get::<_, &str>(0));
        assert_eq!(status.drained, !status.on);
    }
}

#[test]
fn an_epoch_that_an_off_has_ended_does_not_come_back() {
    let database = database();
    let (ended, over) = (AtomicI64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let offs: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = database.admin_config().connect(NoTls).unwrap();
                    for _ in 0..150 {
                        let off = client.query_one("SELECT phasegate.switch_off('stop')", &[]);
                        ended.fetch_max(off.unwrap().get(0), Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = database.admin();
                let now = client
                    .prepare("SELECT last_value FROM phasegate.epoch")
                    .unwrap();
                while !over.load(Ordering::SeqCst) {
                    let ended = ended.load(Ordering::SeqCst);
                    let now: i64 = client.query_one(&now, &[]).unwrap().get(0);
                    assert!(now >= ended, "{now} after {ended}");
                }
            });
        }
        for off in offs {
            off.join().unwrap();
        }
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_stuck_operator_does_not_prevent_stopping_phases() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    let mut another = database.admin();
    another
        .batch_execute("BEGIN; SELECT phasegate.extend('not yet', '1 day')")
        .unwrap();
    thread::scope(|scope| {
        let off = scope.spawn(|| database.operator().switch_off("stop", LONG));
        database.is_left_clean();
        assert!(hand.close_with("COMMIT").is_err());
        let mut late = Hand::of(&database);
        let refused = late.open_at("READ COMMITTED", &task).unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "ZG002");
        drop(late);
        another.batch_execute("COMMIT").unwrap();
        assert_eq!(off.join().unwrap().unwrap(), SwitchedOff::Drained);
    });
    assert!(!database.operator().status().unwrap().on);
}
