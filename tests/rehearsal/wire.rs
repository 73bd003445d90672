//! The messages of a rehearsal, and its outcome when the connection is cut or falls
//! silent: nothing remains, and no caller waits for long.

use std::time::{Duration, Instant};

use phasegate::{
    Error, Failure, PhaseTx, Timeouts, connect::PostgresConnector, error::RefusalReason,
    runner::RehearsalReport,
};

use crate::server::database;
use crate::server::proxy::{Proxy, Verdict};
use crate::{Each, INSERT, next, nothing_remains, rehearsal_through};

fn inserts(number: usize, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    Ok(tx.execute(INSERT, &[&number.to_string()])?)
}

/// Rehearses two phases through the proxy.
fn through(proxy: &Proxy) -> Result<RehearsalReport<()>, Error> {
    rehearsal_through(
        PostgresConnector::no_tls(proxy.config.clone()),
        Each(inserts),
    )
    .timeouts(Timeouts::default().phase(Duration::from_secs(2)))
    .run(|run, on| {
        next(run, on, 1)?;
        next(run, on, 2).map(drop)
    })
}

#[test]
fn it_asks_for_its_rollback_and_never_says_commit() {
    let database = database();
    let proxy = Proxy::new(&database.runner.config(), |_| Verdict::Pass);
    through(&proxy).unwrap();
    let said = proxy.messages.so_far();
    assert!(
        !said
            .iter()
            .any(|message| message.replace("READ COMMITTED", "").contains("COMMIT")),
        "{said:#?}"
    );
    assert_eq!(proxy.messages.count("BEGIN"), 1, "{said:#?}");
    assert_eq!(
        said.last().map(String::as_str),
        Some("ROLLBACK"),
        "{said:#?}"
    );
    nothing_remains(&database);
}

#[test]
fn a_cut_or_silent_connection_leaves_nothing_in_bounded_time() {
    let database = database();
    // Silence in the opening is for the connection's own timeouts: there is no phase yet whose time could be over.
    let faults = [
        ("open_rehearsal", false),
        ("pg_settings", false),
        ("phasegate.rehearse(", false),
        ("INSERT", false),
        ("INSERT", true),
        ("drain_rehearsal", false),
        ("drain_rehearsal", true),
    ];
    for (place, silent) in faults {
        let proxy = Proxy::new(&database.runner.config(), move |message| {
            match (message.contains(place), silent) {
                (false, _) => Verdict::Pass,
                (true, true) => Verdict::Silence,
                (true, false) => Verdict::Cut,
            }
        });
        let began = Instant::now();
        let answer = through(&proxy);
        assert!(began.elapsed() < Duration::from_secs(20), "{place}");
        match answer {
            Err(Error::RolledBack(_)) => assert!(matches!(place, "INSERT" | "drain_rehearsal")),
            Err(Error::Refused(refused)) => assert!(
                matches!(
                    refused.reason(),
                    RefusalReason::NotOpened(_) | RefusalReason::RehearsalOver { .. }
                ),
                "{place}: {refused}"
            ),
            other => panic!("{place}: {other:?}"),
        }
        drop(proxy);
        nothing_remains(&database);
    }
}

#[test]
fn a_server_silent_at_the_rollback_does_not_block_the_run() {
    let database = database();
    let proxy = Proxy::new(&database.runner.config(), |message| {
        if message == "ROLLBACK" {
            Verdict::Silence
        } else {
            Verdict::Pass
        }
    });
    let began = Instant::now();
    let rehearsed = through(&proxy).unwrap();
    assert_eq!(rehearsed.phases.len(), 2);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(database.items(), []);
}
