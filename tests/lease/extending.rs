//! A lease that is extended keeps its epoch, and with it the phases that are open.

use std::thread;
use std::time::{Duration, SystemTime};

use crate::hand::code;
use crate::pipeline::Draft;
use crate::server::{database, rollback};
use phasegate::error::RollbackCause;

const HOUR: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(1_500);
const INSERT: &str = "INSERT INTO item VALUES ('a', 'draft')";

#[test]
fn an_open_phase_commits_within_an_extended_lease() {
    let database = database();
    let epoch = database.operator().switch_on("not long", SHORT).unwrap();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let until = database.operator().extend("it takes longer", HOUR).unwrap();
        assert!(until > SystemTime::now() + HOUR / 2);
        // One statement, which runs when the old end comes.
        tx.execute("SELECT pg_sleep(2.5)", &[])?;
        Ok(tx.execute(INSERT, &[])?)
    });
    assert_eq!(done.unwrap(), 1);
    let status = database.operator().status().unwrap();
    assert!(status.on && status.epoch == epoch, "{status:?}");
    let entries = "SELECT count(*) FROM phasegate.switch_history \
                   WHERE is_on AND epoch = (SELECT epoch FROM phasegate.kill_switch)";
    assert_eq!(database.ask::<i64>(entries), 2);
    assert_eq!(status.why, "it takes longer");
}

#[test]
fn a_phase_ends_with_the_extended_lease() {
    let database = database();
    database.operator().switch_on("not long", SHORT).unwrap();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        database
            .operator()
            .extend("a little longer", SHORT * 2)
            .unwrap();
        tx.execute("SELECT pg_sleep(60)", &[])?;
        Ok(1)
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::LeaseOver),
        "{rollback:?}"
    );
}

#[test]
fn turning_the_switch_on_is_refused_while_a_phase_is_open() {
    let database = database();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let error = database
            .operator()
            .switch_on("once more", HOUR)
            .unwrap_err();
        let said = format!("{error}; {}", error.hint().unwrap());
        assert!(said.contains("phases are open"), "{said}");
        assert!(said.contains("phasegate.extend"), "{said}");
        let sql = "SELECT phasegate.switch_on('once more', '1 hour')";
        let error = database.admin().batch_execute(sql).unwrap_err();
        assert_eq!(code(&error), "ZG020");
        let detail = error.as_db_error().unwrap().detail().unwrap();
        assert!(
            detail.contains("phasegate ") && detail.contains(": small/draft (process "),
            "{detail}"
        );
        Ok(tx.execute(INSERT, &[])?)
    });
    assert_eq!(done.unwrap(), 1);
    // With none open, another lease takes the place of the one that holds.
    database.operator().switch_on("the next", HOUR).unwrap();
}

#[test]
fn a_lease_is_extended_while_it_is_on_and_never_shortened() {
    let database = database();
    let mut operator = database.operator();
    operator.switch_on("an hour", HOUR).unwrap();
    for (why, lasts, says) in [
        ("", HOUR * 2, "the reason is missing"),
        ("why", Duration::from_hours(25), "at most one day"),
        ("why", Duration::ZERO, "longer than nothing"),
        ("why", HOUR / 2, "turn the switch off"),
    ] {
        let refused = operator.extend(why, lasts).unwrap_err();
        let refused = format!("{refused}; {}", refused.hint().unwrap_or_default());
        assert!(refused.contains(says), "{refused}");
    }
    operator.extend("why", HOUR * 2).unwrap();
    let _ = operator.switch_off("stop", HOUR).unwrap();
    let refused = operator.extend("why", HOUR).unwrap_err().to_string();
    assert!(refused.contains("the kill switch is OFF"), "{refused}");
    assert!(!operator.status().unwrap().on);
}

#[test]
fn an_extension_behind_off_does_not_turn_the_switch_on() {
    let database = database();
    let (mut off, mut extends) = (database.admin(), database.admin());
    off.batch_execute("BEGIN; SELECT phasegate.switch_off('stop')")
        .unwrap();
    let refused = thread::scope(|scope| {
        let late =
            scope.spawn(|| extends.batch_execute("SELECT phasegate.extend('late', '1 day')"));
        // Behind the operator who turns it off, whose row is not there yet.
        database.until("the extension waits, or is refused", |database| {
            late.is_finished()
                || database.ask(
                    "SELECT count(*) = 1 FROM pg_locks \
                     WHERE NOT granted AND relation = 'phasegate.switch_history'::regclass",
                )
        });
        off.batch_execute("COMMIT").unwrap();
        late.join().unwrap().unwrap_err()
    });
    assert_eq!(code(&refused), "ZG002");
    let status = database.operator().status().unwrap();
    assert!(!status.on && status.why == "stop", "{status:?}");
}
