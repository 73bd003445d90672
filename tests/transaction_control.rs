//! Inside a phase: who ends the transaction (the engine alone), and what a savepoint is for.

mod pipeline;
mod server;

use phasegate::{Failure, PhaseTx, connect::SqlError, error::RollbackCause};
use postgres::error::SqlState;

use pipeline::Draft;
use server::{Database, all, database, rollback};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// Performs `f` as the one phase, after a row was written, and returns how that ended.
fn phase<F>(database: &Database, mut f: F) -> Result<u64, phasegate::Error>
where
    F: FnMut(&mut PhaseTx<'_>) -> Result<(), Failure>,
{
    database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        f(tx)?;
        Ok(1)
    })
}

#[test]
fn transaction_control_is_not_sent_and_the_phase_can_go_on() {
    let database = database();
    let answer = phase(&database, |tx| {
        for sql in [
            "COMMIT",
            " /* by the way */ commit",
            "-- done\nEND",
            ";ROLLBACK",
            "ABORT",
            "BEGIN",
            "START TRANSACTION",
            "COMMIT AND CHAIN",
            "SAVEPOINT mine",
            "ROLLBACK TO SAVEPOINT phasegate_1",
            "RELEASE phasegate_1",
            "PREPARE TRANSACTION 'mine'",
            "COMMIT PREPARED 'mine'",
        ] {
            let refused = [
                tx.execute(sql, &[]).map(drop),
                tx.execute(&sql.to_owned(), &[]).map(drop),
                tx.query(sql, &[]).map(drop),
                tx.query_one(sql, &[]).map(drop),
                tx.query_opt(sql, &[]).map(drop),
                tx.query_raw(sql, &[]).map(drop),
                tx.prepare(sql).map(drop),
                tx.prepare_typed(sql, &[]).map(drop),
            ];
            for answer in refused {
                let refused = matches!(answer, Err(SqlError::TransactionControl { .. }));
                assert!(refused, "{sql}: {answer:?}");
            }
        }
        tx.execute(INSERT, &[&"b"])?;
        Ok(())
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["a", "b"], "draft"));
    database.is_left_clean();
}

#[test]
fn several_statements_in_one_message_are_refused_by_the_server() {
    let database = database();
    let answer = phase(&database, |tx| {
        tx.execute("SELECT 1; COMMIT", &[])?;
        Ok(())
    });
    let rollback = rollback(answer);
    assert_eq!(
        rollback.failure().unwrap().sqlstate(),
        Some(&SqlState::SYNTAX_ERROR)
    );
    assert_eq!(database.items(), []);
    database.is_left_clean();
}

#[test]
fn a_commit_inside_a_block_or_procedure_fails_leaving_nothing() {
    for call in [
        "DO $$ BEGIN COMMIT; END $$",
        "DO $$ BEGIN ROLLBACK; END $$",
        "CALL ends_it()",
    ] {
        let database = database();
        database.sql("CREATE PROCEDURE ends_it() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'");
        let answer = phase(&database, |tx| {
            tx.execute(call, &[])?;
            Ok(())
        });
        let rollback = rollback(answer);
        let state = rollback.failure().unwrap().sqlstate();
        assert_eq!(
            state,
            Some(&SqlState::INVALID_TRANSACTION_TERMINATION),
            "{call}"
        );
        assert_eq!(database.items(), []);
        database.is_left_clean();
    }
}

#[test]
fn a_failure_inside_a_savepoint_is_undone_and_the_phase_goes_on() {
    let database = database();
    let answer = phase(&database, |tx| {
        let failed = tx.savepoint(|tx| {
            tx.execute(INSERT, &[&"b"])?;
            Ok(tx.execute(INSERT, &[&"a"])?)
        });
        let failure = failed.unwrap_err();
        assert_eq!(failure.sqlstate(), Some(&SqlState::UNIQUE_VIOLATION));
        tx.savepoint(|tx| Ok(tx.execute(INSERT, &[&"c"])?))?;
        Ok(())
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["a", "c"], "draft"));
}

#[test]
fn a_failure_of_the_adapter_inside_a_savepoint_is_undone_too() {
    let database = database();
    let answer = phase(&database, |tx| {
        let failed: Result<(), _> = tx.savepoint(|tx| {
            tx.execute(INSERT, &[&"b"])?;
            Err(Failure::new("not this one"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "not this one");
        Ok(())
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn savepoints_nest_and_each_undoes_its_own_part() {
    let database = database();
    let answer = phase(&database, |tx| {
        tx.savepoint(|tx| {
            tx.execute(INSERT, &[&"outer"])?;
            let inner = tx.savepoint(|tx| {
                tx.execute(INSERT, &[&"inner"])?;
                Ok(tx.execute("SELECT 1 / 0", &[])?)
            });
            assert!(inner.is_err());
            tx.execute(INSERT, &[&"after"])?;
            Ok(())
        })
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["a", "after", "outer"], "draft"));
}

#[test]
fn a_failure_dropped_inside_a_savepoint_is_reported_and_undone() {
    let database = database();
    let answer = phase(&database, |tx| {
        let failed = tx.savepoint(|tx| {
            tx.execute(INSERT, &[&"b"])?;
            let _dropped = tx.execute("SELECT 1 / 0", &[]);
            Ok(())
        });
        let said = failed.unwrap_err().to_string();
        assert!(
            said.contains("its error was dropped: division by zero"),
            "{said}"
        );
        tx.execute(INSERT, &[&"c"])?;
        Ok(())
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["a", "c"], "draft"));
}

#[test]
fn a_savepoint_with_an_unhandled_failure_rolls_the_phase_back() {
    let database = database();
    let answer = phase(&database, |tx| {
        tx.savepoint(|tx| Ok(tx.execute("SELECT 1 / 0", &[]).map(drop)?))
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::Failed(_)),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_savepoint_does_not_hide_an_earlier_dropped_failure() {
    let database = database();
    let answer = phase(&database, |tx| {
        let _dropped = tx.execute("SELECT 1 / 0", &[]);
        let _dropped = tx.savepoint(|tx| Ok(tx.execute(INSERT, &[&"b"])?));
        Ok(())
    });
    let rollback = rollback(answer);
    assert!(
        matches!(rollback.cause(), RollbackCause::Swallowed { .. }),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
    database.is_left_clean();
}

#[test]
fn rows_are_named_by_the_innermost_loop_or_the_caller() {
    let database = database();
    let answer = phase(&database, |tx| {
        tx.for_each_row(
            ["x", "y"],
            |row| (*row).to_owned(),
            |tx, outer| {
                tx.for_each_row([1, 2, 3], ToString::to_string, |_, inner| {
                    let broken = *outer == "y" && *inner == 3;
                    if broken {
                        Err(Failure::new("broken"))
                    } else {
                        Ok(())
                    }
                })
            },
        )?;
        Ok(())
    });
    let rollback = rollback(answer);
    assert_eq!(rollback.row().unwrap().to_string(), "row 3 (3)");
    assert_eq!(database.items(), []);
}
