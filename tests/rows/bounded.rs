//! A million rows are some thousand at a time.

use std::cell::Cell;
use std::sync::mpsc::channel;
use std::time::Duration;

use phasegate::testing::ScriptedSwitch;
use phasegate::{
    Error, Failure, PhaseTx, Receipt, batch::Discard, error::RollbackCause, runner::Event,
};

use postgres::types::Type;

use crate::laboratory::{Raw, in_a_phase, undone};
use crate::pipeline::Draft;
use crate::server::{database, does, drafting, drafting_plan};

fn lengths(
    tx: &mut PhaseTx<'_>,
    texts: impl IntoIterator<Item = String>,
    read: &Cell<usize>,
) -> Vec<()> {
    let ahead = Cell::new(0_usize);
    let done = Cell::new(0_usize);
    let texts = texts.into_iter().inspect(|text| {
        read.set(read.get() + text.len() + 8);
        ahead.set(ahead.get().max(read.get() - done.get()));
    });
    let answers = tx.batch(texts).call(
        "octet_length",
        |text, params| params.with(text),
        |text, length: i32| {
            done.set(done.get() + text.len() + 8);
            assert_eq!(usize::try_from(length)?, text.len());
            Ok(())
        },
    );
    assert!(
        ahead.get() < 4 << 20,
        "{} bytes were read ahead",
        ahead.get()
    );
    answers.unwrap()
}

#[test]
fn rows_are_read_as_they_are_needed_however_large_they_are() {
    in_a_phase("", |tx| {
        let read = Cell::new(0);
        let small = (0..30_000).map(|n| format!("{n}"));
        assert_eq!(lengths(tx, small, &read).len(), 30_000);
        let large = (0..40).map(|n| "x".repeat(n * 50_000));
        assert_eq!(lengths(tx, large, &Cell::new(0)).len(), 40);
        let huge = (0..4).map(|n| "x".repeat(1_100_000 * (n % 2)));
        assert_eq!(lengths(tx, huge, &Cell::new(0)).len(), 4);
    });
}

#[test]
fn observers_see_how_many_rows_are_done_of_how_many() {
    let database = database();
    let (told, seen) = channel();
    let draft = Draft::of(&["a"]);
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                let call = |tx: &mut PhaseTx<'_>, rows: &mut dyn Iterator<Item = i64>| {
                    tx.batch(rows)
                        .call("int8abs", |n, params| params.with(n), |_, n: i64| Ok(n))
                };
                tx.batch(0..5000_i64).call(
                    "int8abs",
                    |n, params| params.with(n),
                    |_, n: i64| Ok(n),
                )?;
                Ok(call(tx, &mut (0..70).filter(|_| true))?.len() as u64)
            }),
        )
        .observer(move |event| {
            if let Event::Rows { done, total, .. } = event {
                told.send((*done, *total)).unwrap();
            }
        })
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(answer.unwrap().value, 70);
    let seen: Vec<_> = seen.iter().collect();
    let (exact, unknown) =
        seen.split_at(seen.iter().position(|(_, total)| total.is_none()).unwrap());
    assert_eq!(exact.last(), Some(&(5000, Some(5000))));
    assert!(
        exact
            .windows(2)
            .all(|two| two[0].0 < two[1].0 && two[1].0 - two[0].0 <= 64),
        "{exact:?}"
    );
    assert_eq!(unknown, [(64, None), (70, None)]);
}

/// The third reading while rows are performed finds the switch off.
fn rolled_back(f: &mut dyn FnMut(&mut PhaseTx<'_>) -> Result<u64, Failure>) {
    let database = database();
    let switch = ScriptedSwitch::on_for(4);
    let draft = Draft::of(&["a"]);
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), does(|_, tx| f(tx)))
        .kill_switch(&switch)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    match answer {
        Err(Error::RolledBack(rollback)) => assert!(
            matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
            "{rollback}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn off_is_seen_between_chunks_and_between_single_rows() {
    let mut done = 0;
    rolled_back(&mut |tx| {
        let rows = tx.batch(0..100_000_i64).call(
            "int8abs",
            |n, params| params.with(n),
            |_, _: i64| {
                done += 1;
                Ok(())
            },
        )?;
        Ok(rows.len() as u64)
    });
    assert!((64..15_000).contains(&done), "{done}");
    // An infinite number goes alone, after a chunk of one.
    let (finite, infinite) = ([0, 1, 0, 0, 0, 0, 0, 0, 0, 7], [0, 0, 0, 0, 0xD0, 0, 0, 0]);
    let mut mixed = 0;
    rolled_back(&mut |tx| {
        let rows = (0..10_000).map(|n| {
            Raw(Some(if n % 2 == 0 {
                finite.to_vec()
            } else {
                infinite.to_vec()
            }))
        });
        let rows = tx.batch(rows).call(
            "numeric_uplus",
            |n, params| params.with(n),
            |_, Discard| {
                mixed += 1;
                Ok(())
            },
        )?;
        Ok(rows.len() as u64)
    });
    assert_eq!(mixed, 2 * 3);
    let mut alone = 0;
    rolled_back(&mut |tx| {
        let rows = (0..10_000_i64).map(|n| vec![n]);
        let rows = tx.batch(rows).types(&[Type::INT8_ARRAY]).call(
            "cardinality",
            |n, params| params.with(n),
            |_, _: i32| {
                alone += 1;
                Ok(())
            },
        );
        // Dropped, it stops the phase all the same.
        assert!(rows.is_err());
        Ok(0)
    });
    assert_eq!(alone, 192);
}

#[test]
fn a_function_that_is_slow_gets_smaller_chunks() {
    in_a_phase(
        "CREATE FUNCTION slow(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.002); RETURN n; END $$;",
        |tx| {
            let pulled = Cell::new(0_u64);
            let done = Cell::new(0_u64);
            let late = Cell::new(0_u64);
            let rows = (0..1200_i64).inspect(|_| {
                pulled.set(pulled.get() + 1);
                if done.get() > 900 {
                    late.set(late.get().max(pulled.get() - done.get()));
                }
            });
            let seen = undone(tx, |tx| {
                tx.batch(rows).call(
                    "slow",
                    |n, params| params.with(n),
                    |_, n: i64| {
                        done.set(done.get() + 1);
                        Ok(n)
                    },
                )
            });
            assert_eq!(seen.answer.unwrap().len(), 1200);
            assert!(late.get() > 0 && late.get() < 256, "{} at once", late.get());
        },
    );
}

#[test]
fn a_session_keeps_no_prepared_statement_of_the_rows() {
    in_a_phase("", |tx| {
        let prepared = |tx: &mut PhaseTx<'_>| -> Result<i64, Failure> {
            let row = tx.query_one(
                "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'phasegate%'",
                &[],
            )?;
            Ok(row.try_get(0)?)
        };
        let kept = undone(tx, |tx| {
            for shelf in 0..30_i64 {
                tx.batch(0..10_i64).execute(
                    "UPDATE book SET shelf = $2 WHERE id = $1",
                    |id, params| params.with(id).with(&shelf),
                    |_, changed| Ok(changed),
                )?;
            }
            prepared(tx)
        });
        assert_eq!(kept.answer.unwrap(), 0);
    });
}

/// A chunk that was sent at once is not one that was looked at at once.
#[test]
fn off_is_seen_in_time_when_the_callers_closure_is_slow() {
    let slowly = || std::thread::sleep(Duration::from_millis(5));
    let (mut read, mut checked) = (0, 0);
    rolled_back(&mut |tx| {
        let rows = (0..2000_i64).inspect(|_| slowly());
        tx.batch(rows).call(
            "int8abs",
            |n, params| params.with(n),
            |_, _: i64| {
                read += 1;
                Ok(())
            },
        )?;
        Ok(0)
    });
    rolled_back(&mut |tx| {
        tx.batch(0..2000_i64).call(
            "int8abs",
            |n, params| params.with(n),
            |_, _: i64| {
                slowly();
                checked += 1;
                Ok(())
            },
        )?;
        Ok(0)
    });
    assert!(read < 200 && checked < 200, "{read} and {checked} rows");
}
