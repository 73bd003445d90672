//! A rehearsal is rolled back however it ends, and can be ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use phasegate::{
    Error, Failure, PhaseTx, Timeouts,
    error::{RefusalReason, RollbackCause},
};

use crate::server::{database, refusal, rollback};
use crate::{Each, INSERT, draft_by, next, nothing_remains, rehearsal};

const BOUND: Duration = Duration::from_secs(10);

fn inserts(number: usize, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    Ok(tx.execute(INSERT, &[&number.to_string()])?)
}

#[test]
fn a_panic_of_the_adapter_or_of_the_pipeline_rolls_back() {
    let database = database();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        draft_by(&database, |_, tx| {
            tx.execute(INSERT, &[&"a"])?;
            panic!("half way")
        })
    }));
    assert!(panicked.is_err());
    nothing_remains(&database);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        rehearsal(&database, Each(inserts)).run(|run, on| -> Result<(), Error> {
            next(run, on, 1)?;
            panic!("between two phases")
        })
    }));
    assert!(panicked.is_err());
    nothing_remains(&database);
}

#[test]
fn after_a_caught_panic_the_rehearsal_is_over() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let rows = inserts(number, tx)?;
        assert_ne!(number, 2, "half way");
        Ok(rows)
    });
    let answer = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 1)?;
        assert!(catch_unwind(AssertUnwindSafe(|| next(run, on, 2))).is_err());
        let refused = refusal(next(run, on, 3));
        let RefusalReason::RehearsalOver { lost_in, .. } = refused.reason() else {
            panic!("{refused}")
        };
        assert_eq!(lost_in.as_deref(), Some("part[2]"));
        Ok(())
    });
    // The run returns the error, though the pipeline does not.
    let refused = refusal(answer);
    assert!(
        matches!(refused.reason(), RefusalReason::RehearsalOver { .. }),
        "{refused}"
    );
    nothing_remains(&database);
}

#[test]
fn an_error_of_the_pipeline_rolls_back() {
    let database = database();
    let answer = rehearsal(&database, Each(inserts)).try_run(|run, on| {
        next(run, on, 1)?;
        Err::<(), Box<dyn std::error::Error>>("changed my mind".into())
    });
    assert_eq!(answer.unwrap_err().to_string(), "changed my mind");
    nothing_remains(&database);
}

#[test]
fn a_rehearsal_needs_no_switch() {
    let database = database();
    let off = database.operator().switch_off("a test", BOUND);
    assert!(off.is_ok());
    let rehearsed = draft_by(&database, |_, tx| Ok(tx.execute(INSERT, &[&"a"])?));
    assert_eq!(
        rehearsed.unwrap().phases[0]
            .effects
            .of("public.item")
            .inserted,
        1
    );
    nothing_remains(&database);
}

#[test]
fn off_finds_a_rehearsal_and_ends_it_inside_a_phase() {
    let database = database();
    let answer = draft_by(&database, |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        let status = database.operator().status().unwrap();
        let names: Vec<_> = status
            .phases
            .iter()
            .map(|holder| holder.application_name.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(names, ["phasegate rehearsal small/draft"]);
        assert!(database.operator().switch_off("a test", BOUND).is_ok());
        tx.execute("SELECT pg_sleep(60)", &[])?;
        Ok(1)
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
        "{rollback}"
    );
    nothing_remains(&database);
}

#[test]
fn off_ends_a_rehearsal_between_two_phases() {
    let database = database();
    let answer = rehearsal(&database, Each(inserts)).run(|run, on| {
        next(run, on, 1)?;
        assert!(database.operator().switch_off("a test", BOUND).is_ok());
        database.is_left_clean();
        next(run, on, 2).map(drop)
    });
    let refused = refusal(answer);
    assert!(
        refused.to_string().starts_with(
            "phase `part[2]`: refused, the rehearsal is over: its session ended between two phases, and with it the rows of the phases before ("
        ),
        "{refused}"
    );
    nothing_remains(&database);
}

#[test]
fn a_phase_beyond_its_time_is_ended_despite_its_own_settings() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        inserts(number, tx)?;
        tx.execute("SET statement_timeout = 0", &[])?;
        tx.execute("SELECT pg_sleep(60)", &[])?;
        Ok(1)
    });
    let began = Instant::now();
    let timeouts = Timeouts::default().phase(Duration::from_millis(300));
    let answer = rehearsal(&database, adapter)
        .timeouts(timeouts)
        .run(|run, on| {
            let rollback = rollback(next(run, on, 1));
            assert!(
                matches!(rollback.cause(), RollbackCause::TimeOver),
                "{rollback}"
            );
            let refused = refusal(next(run, on, 2));
            assert!(
                matches!(refused.reason(), RefusalReason::RehearsalOver { .. }),
                "{refused}"
            );
            Ok(())
        });
    assert!(answer.is_err());
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    nothing_remains(&database);
}

#[test]
fn the_servers_timeouts_hold_and_settings_end_with_their_phase() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let ms = |tx: &mut PhaseTx<'_>, name: &str| -> Result<String, Failure> {
            Ok(tx.query_one("SELECT current_setting($1)", &[&name])?.get(0))
        };
        assert_eq!(ms(tx, "lock_timeout")?, "3s", "{number}");
        assert_eq!(ms(tx, "statement_timeout")?, "200ms", "{number}");
        assert_eq!(
            ms(tx, "idle_in_transaction_session_timeout")?,
            "20s",
            "{number}"
        );
        match number {
            1 => {
                for name in [
                    "lock_timeout",
                    "statement_timeout",
                    "idle_in_transaction_session_timeout",
                ] {
                    tx.execute(&format!("SET {name} = 0"), &[])?;
                }
                Ok(1)
            }
            _ => Ok(tx.execute("SELECT pg_sleep(60)", &[])?),
        }
    });
    let timeouts = Timeouts::default()
        .lock(Duration::from_secs(3))
        .statement(Duration::from_millis(200))
        .idle(Duration::from_secs(20));
    let rehearsed = rehearsal(&database, adapter)
        .timeouts(timeouts)
        .run(|run, on| {
            next(run, on, 1)?;
            for again in 2..4 {
                let rollback = rollback(next(run, on, again));
                let code = rollback.failure().and_then(Failure::sqlstate);
                assert_eq!(
                    code.map(postgres::error::SqlState::code),
                    Some("57014"),
                    "{rollback}"
                );
            }
            Ok(())
        });
    assert_eq!(rehearsed.unwrap().failed.len(), 2);
}

#[test]
fn a_pipeline_that_dawdles_after_a_phase_is_ended_by_the_server() {
    let database = database();
    for fails in [false, true] {
        let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
            tx.execute("SET idle_in_transaction_session_timeout = 0", &[])?;
            let rows = inserts(number, tx)?;
            if fails {
                return Err(Failure::new("not now"));
            }
            Ok(rows)
        });
        let timeouts = Timeouts::default().idle(Duration::from_millis(200));
        let answer = rehearsal(&database, adapter)
            .timeouts(timeouts)
            .run(|run, on| {
                assert_eq!(next(run, on, 1).is_err(), fails);
                database.is_left_clean();
                next(run, on, 2).map(drop)
            });
        let refused = refusal(answer);
        assert!(
            matches!(refused.reason(), RefusalReason::RehearsalOver { .. }),
            "{refused}"
        );
    }
}

#[test]
fn a_session_lost_in_a_phase_ends_the_whole_rehearsal() {
    let database = database();
    for says_so in [true, false] {
        let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
            let rows = inserts(number, tx)?;
            if number == 2 {
                let ended = tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]);
                if says_so {
                    ended?;
                }
            }
            Ok(rows)
        });
        let answer = rehearsal(&database, adapter).run(|run, on| {
            next(run, on, 1)?;
            let rollback = rollback(next(run, on, 2));
            let lost = matches!(rollback.cause(), RollbackCause::ConnectionLost);
            assert_ne!(lost, says_so, "{rollback}");
            Ok(())
        });
        let refused = refusal(answer);
        assert!(
            matches!(refused.reason(), RefusalReason::RehearsalOver { .. }),
            "{refused}"
        );
        nothing_remains(&database);
    }
}
