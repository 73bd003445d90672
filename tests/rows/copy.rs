//! Rows in bulk, into and out of a phase.

use std::io::{BufRead, Read, Write};

use phasegate::testing::ScriptedSwitch;
use phasegate::{Error, Failure, PhaseTx, Receipt, connect::SqlError, error::RollbackCause};

use crate::laboratory::{in_a_phase, undone};
use crate::pipeline::Draft;
use crate::server::{database, does, drafting, drafting_plan};

fn fill(tx: &mut PhaseTx<'_>, lines: &str) -> Result<u64, Failure> {
    tx.copy_in(
        "COPY book (id, shelf, title) FROM STDIN (FORMAT csv)",
        |copy| Ok(copy.write_all(lines.as_bytes())?),
    )
}

#[test]
fn rows_copied_in_are_committed_and_counted_with_their_phase() {
    let database = database();
    let copied = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.copy_in("COPY item FROM STDIN", |copy| {
            for n in 0..1000 {
                writeln!(copy, "row {n}\tdraft")?;
            }
            Ok(())
        })
    });
    assert_eq!(copied.unwrap(), 1000);
    assert_eq!(database.items().len(), 1000);
    let effects: String = database
        .ask("SELECT body::jsonb #>> '{effects,public.item,inserted}' FROM phasegate.journal");
    assert_eq!(effects, "1000");
}

#[test]
fn rows_are_copied_out_and_unread_ones_are_dropped() {
    in_a_phase("", |tx| {
        let seen = undone(tx, |tx| {
            fill(tx, "1,1,one\n2,2,two\n")?;
            let mut text = String::new();
            tx.copy_out(
                "COPY (SELECT id, title FROM book ORDER BY id) TO STDOUT",
                |copy| Ok(copy.read_to_string(&mut text)?),
            )?;
            let first = tx.copy_out(
                "COPY (SELECT n FROM generate_series(1, 100000) AS n) TO STDOUT",
                |copy| {
                    let mut line = String::new();
                    copy.read_line(&mut line)?;
                    Ok(line)
                },
            )?;
            Ok((text, first))
        });
        assert_eq!(
            seen.answer.unwrap(),
            ("1\tone\n2\ttwo\n".to_owned(), "1\n".to_owned())
        );
    });
}

#[test]
fn a_refused_line_is_named_without_its_content() {
    in_a_phase("", |tx| {
        let says = undone(tx, |tx| fill(tx, "3,1,good\n4,1,good\nsecret,1,good\n"))
            .answer
            .unwrap_err()
            .says;
        assert!(
            says.contains("(SQLSTATE 22P02, COPY book, line 3)"),
            "{says}"
        );
        let says = undone(tx, |tx| fill(tx, "3,1,good\n4,1,burnt\n"))
            .answer
            .unwrap_err();
        assert_eq!(says.constraint.as_deref(), Some("book_title_check"));
        assert!(says.says.contains("COPY book, line 2"), "{says:?}");
    });
}

#[test]
fn a_broken_off_copy_copies_nothing_and_cannot_be_ignored() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let broken = tx.copy_in("COPY item FROM STDIN", |copy| {
            copy.write_all(b"a\tdraft\n")?;
            Err(Failure::new("the file ended in the middle"))
        });
        assert_eq!(
            broken.unwrap_err().to_string(),
            "the file ended in the middle"
        );
        Ok(0)
    });
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        rollback
            .to_string()
            .contains("the file ended in the middle"),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_copy_out_that_fails_half_way_cannot_be_ignored() {
    in_a_phase("", |tx| {
        let seen = undone(tx, |tx| {
            tx.copy_out(
                "COPY (SELECT 1000 / (5000 - n) FROM generate_series(1, 9000) AS n) TO STDOUT",
                |copy| {
                    let _ = copy.read_to_string(&mut String::new());
                    Ok(())
                },
            )
        });
        assert!(seen.answer.unwrap_err().says.contains("broke the copy off"));
    });
}

#[test]
fn only_copy_copies() {
    in_a_phase("", |tx| {
        let other = tx.copy_in("DELETE FROM book", |_| Ok(())).unwrap_err();
        assert!(
            other.to_string().starts_with("`DELETE` is not `COPY`"),
            "{other}"
        );
        let commit = tx.copy_out("COMMIT", |_| Ok(())).unwrap_err();
        assert!(
            commit
                .to_string()
                .starts_with("`COMMIT` is transaction control"),
            "{commit}"
        );
        let copy = tx.execute("COPY book FROM STDIN", &[]).unwrap_err();
        assert!(matches!(copy, SqlError::Copy), "{copy}");
        assert!(copy.hint().unwrap().contains("PhaseTx::copy_in"), "{copy}");
    });
}

#[test]
fn off_stops_a_copy_within_some_mebibytes() {
    let database = database();
    let switch = ScriptedSwitch::on_for(3);
    let draft = Draft::of(&["a"]);
    let mut written = 0_usize;
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                tx.copy_in("COPY item FROM STDIN", |copy| {
                    let state = "x".repeat(1 << 16);
                    for n in 0..1000 {
                        writeln!(copy, "{n}\t{state}")?;
                        written += state.len();
                    }
                    Ok(())
                })
            }),
        )
        .kill_switch(&switch)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
        "{rollback}"
    );
    assert!(written < 16 << 20, "{written}");
    assert_eq!(database.items(), []);
}

#[test]
fn the_switch_is_read_within_what_is_written_at_once() {
    let database = database();
    let switch = ScriptedSwitch::on_for(3);
    let draft = Draft::of(&["a"]);
    let mut written = None;
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                tx.copy_in("COPY item FROM STDIN", |copy| {
                    let all = copy.write_all(&vec![b'x'; 40 << 20]);
                    written = Some(all.is_ok());
                    Ok(all?)
                })
            }),
        )
        .kill_switch(&switch)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert!(matches!(answer, Err(Error::RolledBack(_))), "{answer:?}");
    assert_eq!(written, Some(false));
}

/// The driver is out of step with the server after it, and may take any answer for the one to the commit.
#[test]
fn a_copy_the_other_way_rolls_the_phase_back_without_doubt() {
    for times in [1, 2] {
        for out in [false, true] {
            let database = database();
            let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
                tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
                for time in 0..times {
                    let copy = if out {
                        tx.copy_out("COPY item FROM STDIN", |_| Ok(()))
                    } else {
                        tx.copy_in("COPY item TO STDOUT", |_| Ok(())).map(drop)
                    };
                    let says = copy.unwrap_err().to_string();
                    assert!(
                        time > 0
                            || says.contains("copies in another direction: the session is closed"),
                        "{says}"
                    );
                }
                Ok(1)
            });
            let Err(Error::RolledBack(rollback)) = answer else {
                panic!("{answer:?}")
            };
            assert!(
                matches!(rollback.cause(), RollbackCause::ConnectionLost),
                "{rollback:?}"
            );
            assert_eq!(database.items(), []);
        }
    }
}
