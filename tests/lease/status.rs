//! What the status says, and what it does not claim to know.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use phasegate::operator::Operator;

use crate::hand::{Hand, task};
use crate::server::database;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn the_status_says_on_and_never_drained_while_it_is() {
    let database = database();
    let epoch = database.operator().switch_on("the cutover", HOUR).unwrap();
    let status = database.operator().status().unwrap();
    assert!(status.on && !status.drained, "{status:?}");
    assert_eq!(
        (status.refusal, status.epoch, &*status.why),
        (None, epoch, "the cutover")
    );
    assert!(status.until.unwrap() > SystemTime::now() + HOUR / 2);
    assert_eq!(status.phases, []);
}

#[test]
fn the_status_is_off_and_drained_when_no_commit_is_possible() {
    let database = database();
    let _ = database.operator().switch_off("enough", HOUR).unwrap();
    let status = database.operator().status().unwrap();
    assert!(!status.on && status.drained, "{status:?}");
    assert!(status.refusal.unwrap().contains("OFF"));
    assert_eq!((status.until, &*status.why), (None, "enough"));
}

#[test]
fn the_status_names_an_open_phase_and_does_not_say_drained() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    let status = database.operator().status().unwrap();
    assert!(status.on && !status.drained, "{status:?}");
    assert_eq!(status.phases.len(), 1);
    assert_eq!(status.phases[0].pid, Some(hand.pid));
}

#[test]
fn the_status_does_not_say_drained_while_a_commit_is_in_flight() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    hand.get_past_the_check();
    assert!(!database.operator().status().unwrap().drained);
    let _ = database
        .operator()
        .switch_off("enough", Duration::ZERO)
        .unwrap();
    let status = database.operator().status().unwrap();
    assert!(!status.on && !status.drained, "{status:?}");
    hand.commit().unwrap();
    assert!(database.operator().status().unwrap().drained);
}

#[test]
fn the_status_is_not_drained_when_the_lease_has_only_run_out() {
    let database = database();
    database
        .operator()
        .switch_on("not long", Duration::from_millis(1))
        .unwrap();
    database.until("the lease is over", |database| {
        !database.operator().status().unwrap().on
    });
    let status = database.operator().status().unwrap();
    assert!(status.refusal.unwrap().contains("lease"));
    assert!(!status.drained);
}

#[test]
fn the_status_never_says_on_and_drained_at_once() {
    let database = database();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut operator = Operator::new(database.admin());
            for _ in 0..150 {
                operator.switch_on("to and fro", HOUR).unwrap();
                let _ = operator.switch_off("to and fro", HOUR).unwrap();
            }
            over.store(true, Ordering::SeqCst);
        });
        let mut operator = Operator::new(database.admin());
        while !over.load(Ordering::SeqCst) {
            let status = operator.status().unwrap();
            assert!(!(status.on && status.drained), "{status:?}");
        }
    });
}
