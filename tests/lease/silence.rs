//! A silent peer blocks no caller for longer than documented.

use std::time::{Duration, Instant};

use phasegate::{Failure, Receipt, Timeouts, connect::PostgresConnector, error::RollbackCause};

use crate::hand::{Hand, task};
use crate::pipeline::Draft;
use crate::server::proxy::{Proxy, Verdict};
use crate::server::{database, does, drafting, drafting_plan, rollback};

/// How long giving up a session takes at most, as the engine has it.
const GIVING_UP: Duration = Duration::from_secs(5);

#[test]
fn a_failed_phase_with_a_silent_peer_is_dropped_in_five_seconds() {
    let database = database();
    let proxy = Proxy::new(&database.runner.config(), |sql| {
        if sql.contains("ROLLBACK") {
            Verdict::Silence
        } else {
            Verdict::Pass
        }
    });
    let draft = Draft::of(&["a"]);
    let start = Instant::now();
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
                Err(Failure::new("no"))
            }),
        )
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let took = start.elapsed();
    assert!(matches!(rollback(answer).cause(), RollbackCause::Failed(_)));
    assert!(took >= GIVING_UP, "the peer was not silent: {took:?}");
    assert!(took < GIVING_UP + Duration::from_secs(4), "{took:?}");
}

/// What README says of a client that is frozen in the middle of a COPY, before any timeout of a program that watches.
#[test]
fn a_client_frozen_in_a_copy_keeps_its_locks_until_off() {
    let database = database();
    let until = |what: &str, sql: &str| database.until(what, |database| database.ask(sql));
    let mut hand = Hand::of(&database);
    hand.begin(&task(&database), "by hand");
    let pid = hand.pid;
    hand.client
        .batch_execute(
            "SET statement_timeout = '500 ms'; SET idle_in_transaction_session_timeout = '500 ms'",
        )
        .unwrap();
    let copy = hand.client.copy_in("COPY item FROM STDIN").unwrap();
    // The server waits for more lines, past every timeout that it was told.
    std::thread::sleep(Duration::from_secs(2));
    let holds = format!(
        "SELECT count(*) > 0 FROM pg_locks WHERE pid = {pid} AND relation = 'item'::regclass AND mode = 'RowExclusiveLock'"
    );
    assert!(database.ask::<bool>(&holds));
    let off = database
        .operator()
        .switch_off("frozen", Duration::from_secs(5))
        .unwrap();
    assert_eq!(off, phasegate::operator::SwitchedOff::Drained);
    until(
        "its locks are gone",
        &format!("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = {pid})"),
    );
    drop(copy);
    assert_eq!(database.items(), []);
}

#[test]
fn the_server_gets_the_time_limit_but_not_the_end_of_the_lease() {
    const SETTINGS: &str = "SELECT array_agg(coalesce(current_setting(name, true), 'none') ORDER BY place) \
         FROM unnest(ARRAY['lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', \
                           'transaction_timeout']) WITH ORDINALITY AS s (name, place)";
    let database = database();
    let has_transaction_timeout: bool =
        database.ask("SELECT current_setting('transaction_timeout', true) IS NOT NULL");
    let timeouts = Timeouts::default()
        .lock(Duration::from_millis(1234))
        .statement(Duration::from_millis(23_456))
        .idle(Duration::from_millis(34_567))
        .phase(Duration::from_millis(45_678));
    let told = |row: &str| {
        let draft = Draft::of(&[row]);
        let mut told: Vec<String> = Vec::new();
        let read = does(|_, tx| {
            told = tx.query_one(SETTINGS, &[])?.try_get(0)?;
            Ok(1)
        });
        let live = database.live_by(drafting_plan(&database.target, &draft), read);
        let live = live.timeouts(timeouts);
        let _ = live
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
            .unwrap();
        told
    };
    let told_before = told("a");
    assert_eq!(told_before[..3], ["1234ms", "23456ms", "34567ms"]);
    let phase = if has_transaction_timeout {
        // Five seconds later than the run itself would end it.
        "50678ms"
    } else {
        "none"
    };
    assert_eq!(told_before[3], phase);

    let lease = Duration::from_secs(20);
    database.operator().switch_on("not long", lease).unwrap();
    // The lease may be extended: its end is watched, and not told.
    assert_eq!(told("b"), told_before);
}
