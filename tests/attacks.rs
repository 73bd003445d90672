//! Ways to bypass the transaction that were found, in safe user code, and are closed.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, BytesMut};
use phasegate::testing::TripwireAdapter;
use phasegate::{
    Error, Failure, Receipt,
    connect::{ConnectError, Connection, Connector, SqlError},
    error::{Refusal, RefusalReason},
};
use pipeline::Draft;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Config, NoTls};
use server::{Database, all, database, does, drafting, drafting_plan, refusal};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

fn cause(answer: Result<u64, Error>) -> String {
    match answer {
        Err(Error::RolledBack(rollback)) => format!("{:?}", rollback.cause()),
        other => panic!("not rolled back: {other:?}"),
    }
}

/// A parameter that writes a message of its own into the buffer that it is given, and panics: the
/// driver would send it with the next one.
#[derive(Debug)]
struct Smuggled(&'static str);

impl ToSql for Smuggled {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.clear();
        out.put_u8(b'Q');
        out.put_i32(5 + i32::try_from(self.0.len())?);
        out.put_slice(self.0.as_bytes());
        out.put_u8(0);
        panic!("with a message left in the buffer")
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[test]
fn a_parameter_cannot_smuggle_a_commit_into_the_drivers_buffer() {
    let database = database();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        database.draft_by(&Draft::of(&["a"]), |_, tx| {
            tx.execute(INSERT, &[&"a"])?;
            Ok(tx.execute("SELECT $1::int", &[&Smuggled("COMMIT")])?)
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(database.items(), []);
}

#[test]
fn a_parameter_that_panicked_leaves_no_bytes_for_the_close() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            tx.execute("SELECT $1::int", &[&Smuggled("ROLLBACK")])
        }));
        assert!(caught.is_err());
        Ok(1)
    });
    assert_eq!(answer.unwrap(), 1, "nothing was sent, so nothing is wrong");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn too_few_parameters_are_an_error_and_not_a_panic() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let error = tx.execute(INSERT, &[]).unwrap_err();
        assert!(matches!(
            error,
            SqlError::ParameterCount {
                expected: 1,
                given: 0
            }
        ));
        let error = tx.execute(INSERT, &[&1_i32]).unwrap_err();
        assert!(matches!(error, SqlError::Parameter(_)), "{error}");
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    assert_eq!(answer.unwrap(), 1);
}

#[test]
fn copy_is_not_sent() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let error = tx
            .execute("/* rows */ copy item FROM STDIN", &[])
            .unwrap_err();
        assert!(matches!(error, SqlError::Copy), "{error}");
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    assert_eq!(answer.unwrap(), 1);
}

#[test]
fn a_caught_panic_during_the_close_does_not_commit_twice() {
    let database = database();
    database.at_commit("RAISE WARNING 'watch out'");
    let connector = database
        .connector()
        .on_notice(|_| panic!("a callback of the driver"));
    let draft = Draft::of(&["a"]);
    let tries = AtomicUsize::new(0);
    let answer = database
        .live_by(
            drafting_plan(&database.target, &draft),
            does(|_, tx| {
                let name = format!("try {}", tries.fetch_add(1, Ordering::SeqCst));
                Ok(tx.execute(INSERT, &[&name])?)
            }),
        )
        .connector(connector)
        .run(|run, on| {
            let attempt = |run: &mut _| drafting(run, on, &draft).map(Receipt::into_output);
            let panicked = catch_unwind(AssertUnwindSafe(|| attempt(run)));
            assert!(panicked.is_err());
            let refused = attempt(run).unwrap_err();
            assert!(
                matches!(refused.reason(), Some(RefusalReason::Unresolved { .. })),
                "{refused}"
            );
            Ok(1)
        });
    assert!(matches!(answer, Err(Error::InDoubt(_))), "{answer:?}");
    assert_eq!(tries.into_inner(), 1);
}

#[test]
fn a_caught_panic_inside_a_savepoint_rolls_the_phase_back() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            tx.savepoint(|tx| -> Result<(), Failure> {
                tx.execute(INSERT, &[&"half"])?;
                panic!("half way")
            })
        }));
        assert!(caught.is_err());
        Ok(1)
    });
    assert_eq!(cause(answer), "SavepointLeftOpen");
    assert_eq!(database.items(), []);
}

/// A connector whose sessions are not new.
struct Prepared(Config, &'static str);

impl Connector for Prepared {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mut client = self.0.connect(NoTls)?;
        client.batch_execute(self.1)?;
        Ok(client.into())
    }
}

fn refused_session(database: &Database, before: &'static str) -> Refusal {
    let draft = Draft::of(&["a"]);
    let connector = Prepared(database.runner.config(), before);
    refusal(
        database
            .live_by(drafting_plan(&database.target, &draft), TripwireAdapter)
            .connector(connector)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)),
    )
}

#[test]
fn a_session_that_is_in_a_transaction_already_is_refused() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE unguarded (name text); GRANT INSERT ON unguarded TO {runner}"
    ));
    for before in ["BEGIN", "BEGIN; INSERT INTO unguarded VALUES ('early')"] {
        let refused = refused_session(&database, before);
        assert!(
            matches!(refused.reason(), RefusalReason::SessionInTransaction),
            "{refused}"
        );
    }
    let early: i64 = database.ask("SELECT count(*) FROM unguarded");
    assert_eq!(early, 0);
}

#[test]
fn a_session_that_acts_as_another_role_is_refused() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!("GRANT pg_monitor TO {runner}"));
    let refused = refused_session(&database, "SET ROLE pg_monitor");
    assert!(
        matches!(refused.reason(), RefusalReason::ActingRole { acting, .. } if acting == "pg_monitor"),
        "{refused}"
    );
}

#[test]
fn a_trigger_that_imitates_the_engines_error_is_a_rollback() {
    let database = database();
    database.at_commit("RAISE EXCEPTION 'an impostor' USING ERRCODE = 'ZG001'");
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[&"a"])?));
    assert!(cause(answer).contains("an impostor"));
    assert_eq!(database.items(), []);
}

const END_MYSELF: &str = "SELECT pg_terminate_backend(pg_backend_pid())";

#[test]
fn an_adapter_that_ignores_a_lost_session_is_rolled_back() {
    let database = database();
    for _ in 0..10 {
        let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
            tx.execute(INSERT, &[&"a"])?;
            assert!(tx.execute(END_MYSELF, &[]).is_err());
            Ok(1)
        });
        assert_eq!(cause(answer), "ConnectionLost");
    }
    assert_eq!(database.items(), []);
}

#[test]
fn a_session_that_ends_inside_a_savepoint_does_not_hide_the_row() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.savepoint(|tx| {
            tx.for_each_row(
                ["x", "y"],
                |row| *row,
                |tx, row| match *row {
                    "y" => Ok(tx.execute(END_MYSELF, &[])?),
                    name => Ok(tx.execute(INSERT, &[&name])?),
                },
            )
        })?;
        Ok(1)
    });
    let error = answer.unwrap_err();
    assert_eq!(
        error.row().map(|row| (row.ordinal(), row.key())),
        Some((2, "y"))
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_row_that_failed_in_a_stream_and_was_dropped_is_named() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let rows = tx.query_raw("SELECT 1 / (2 - g) FROM generate_series(0, 2) AS g", &[])?;
        Ok(rows.flatten().count() as u64)
    });
    assert!(cause(answer).contains("division by zero"));
}

#[test]
fn a_phase_cannot_make_its_commit_less_durable() {
    for (session, phase, committed) in [
        ("on", "local", "on"),
        ("on", "off", "on"),
        ("remote_apply", "local", "remote_apply"),
        ("off", "off", "on"),
    ] {
        let database = database();
        let runner = database.runner.name();
        database.sql(&format!(
            "ALTER ROLE {runner} SET synchronous_commit = {session}"
        ));
        database.watch_durability_at_commit("NULL");
        let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
            tx.execute(&format!("SET synchronous_commit = {phase}"), &[])?;
            Ok(tx.execute(INSERT, &[&"a"])?)
        });
        assert_eq!(answer.unwrap(), 1);
        let seen = database.durability_at_commit();
        assert_eq!(seen, committed, "{session}, {phase}");
    }
}
