//! Ways that were found round the engine, in safe code of a user's, and that are closed.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, BytesMut};
use phasegate::testing::{Calls, TripwireAdapter};
use phasegate::{
    ApprovalRefusal, ApprovalRequest, Attestation, Authority, ConnectError, Connector, Denied,
    DryRunner, Error, Execute, Failure, Invalid, PhaseSpec, PhaseTx, PostgresConnector, Prior,
    Receipt, Refusal, Sg1, Simulate, Start, StatementError, Ungated,
};
use pipeline::Draft;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};
use server::{Database, PIPELINE, all, database, does, drafting, drafting_plan, refusal};

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
fn a_parameter_that_panicked_and_was_caught_leaves_nothing_for_the_close_to_carry() {
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
            StatementError::ParameterCount {
                expected: 1,
                given: 0
            }
        ));
        let error = tx.execute(INSERT, &[&1_i32]).unwrap_err();
        assert!(matches!(error, StatementError::Parameter(_)), "{error}");
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
        assert!(matches!(error, StatementError::Copy), "{error}");
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    assert_eq!(answer.unwrap(), 1);
}

#[test]
fn a_panic_during_the_close_that_the_pipeline_catches_does_not_commit_twice() {
    let database = database();
    database.at_commit("RAISE WARNING 'watch out'");
    let mut config = database.runner.config();
    config.notice_callback(|_| panic!("a callback of the driver"));
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
        .connector(PostgresConnector::no_tls(config))
        .run(|run, on| {
            let attempt = |run: &mut _| drafting(run, on, &draft).map(Receipt::into_output);
            let panicked = catch_unwind(AssertUnwindSafe(|| attempt(run)));
            assert!(panicked.is_err());
            let refused = attempt(run).unwrap_err();
            assert!(
                matches!(refused, Error::Refused(Refusal::Unsettled { .. })),
                "{refused}"
            );
            Ok(1)
        });
    assert!(matches!(answer, Err(Error::InDoubt(_))), "{answer:?}");
    assert_eq!(tries.into_inner(), 1);
}

#[test]
fn a_panic_inside_a_savepoint_that_the_adapter_catches_rolls_the_phase_back() {
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

/// Hands out sessions that are not as they should be.
struct Prepared(Config, &'static str);

impl Connector for Prepared {
    fn connect(&mut self) -> Result<Client, ConnectError> {
        let mut client = self.0.connect(NoTls)?;
        client.batch_execute(self.1)?;
        Ok(client)
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
    for before in ["BEGIN", "BEGIN; INSERT INTO item VALUES ('early', 'draft')"] {
        let refused = refused_session(&database, before);
        assert!(
            matches!(refused, Refusal::SessionInTransaction { .. }),
            "{refused}"
        );
    }
    assert_eq!(database.items(), []);
}

#[test]
fn a_session_that_acts_as_another_role_is_refused() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!("GRANT pg_monitor TO {runner}"));
    let refused = refused_session(&database, "SET ROLE pg_monitor");
    assert!(
        matches!(&refused, Refusal::ActingRole { acting, .. } if acting == "pg_monitor"),
        "{refused}"
    );
}

#[test]
fn a_trigger_that_imitates_the_engines_own_error_is_a_rollback_and_no_doubt() {
    let database = database();
    database.at_commit("RAISE EXCEPTION 'an impostor' USING ERRCODE = 'ZG001'");
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[&"a"])?));
    assert!(cause(answer).contains("an impostor"));
    assert_eq!(database.items(), []);
}

/// Performs any phase, and records the spec that it was given.
struct Shows<'a>(&'a Calls);

macro_rules! shown {
    ($spec:ty) => {
        impl Simulate<$spec> for Shows<'_> {
            fn simulate(&mut self, _: &$spec, _: Prior<'_, $spec>) -> Result<(), Failure> {
                Ok(())
            }
        }

        impl Execute<$spec> for Shows<'_> {
            fn execute(
                &mut self,
                spec: &$spec,
                _: Prior<'_, $spec>,
                _: &mut PhaseTx<'_>,
            ) -> Result<(), Failure> {
                self.0.record(serde_json::to_string(spec)?);
                Ok(())
            }
        }
    };
}

/// Changes itself while it is checked.
#[derive(Serialize, Deserialize)]
struct Sneaky(RefCell<Vec<u32>>);

impl PhaseSpec for Sneaky {
    const NAME: &'static str = "sneaky";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn validate(&self) -> Result<(), Invalid> {
        self.0.borrow_mut().push(666);
        Ok(())
    }
}

shown!(Sneaky);

#[test]
fn what_validation_does_to_a_spec_is_not_performed() {
    let database = database();
    let calls = Calls::new();
    let sneaky = || Sneaky(RefCell::new(vec![1]));
    let plan = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Shows(&calls))
        .run(|run, on| {
            run.phase(sneaky()).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap()
        .plan;
    database
        .live_by(plan, Shows(&calls))
        .run(|run, on| {
            run.phase(sneaky()).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(calls.so_far(), ["[1]"]);
}

/// Is called after something that is not in its bytes.
#[derive(Serialize, Deserialize)]
struct Region {
    #[serde(skip)]
    name: String,
}

impl PhaseSpec for Region {
    const NAME: &'static str = "close";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

shown!(Region);

#[test]
fn a_name_that_is_not_in_the_bytes_is_refused() {
    let name = "EU".to_owned();
    let refused = refusal(
        DryRunner::new(PIPELINE)
            .target(server::nowhere())
            .simulator(Shows(&Calls::new()))
            .run(|run, on| {
                run.phase(Region { name }).perform(on, Ungated, Start)?;
                Ok(())
            }),
    );
    assert!(
        matches!(&refused, Refusal::NameNotPlanned { phase, decoded, .. }
            if phase == "close[EU]" && decoded == "close[]"),
        "{refused}"
    );
}

/// One of several jobs.
#[derive(Serialize, Deserialize)]
struct Job(u32);

impl PhaseSpec for Job {
    const NAME: &'static str = "job";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// Comes after one of them, and is behind a gate.
#[derive(Serialize, Deserialize)]
struct Purge(u32);

impl PhaseSpec for Purge {
    const NAME: &'static str = "purge";
    type Gate = Sg1;
    type After = Job;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

shown!(Job);
shown!(Purge);

/// The plan of two jobs, and of two purges after the first.
fn purging(database: &Database, calls: &Calls) -> phasegate::Plan {
    DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Shows(calls))
        .run(|run, on| {
            let first = run.phase(Job(0)).perform(on, Ungated, Start)?;
            run.phase(Job(1)).perform(on, Ungated, Start)?;
            let sg1 = run.approval::<Sg1>()?;
            run.phase(Purge(0)).perform(on, sg1, &first)?;
            let sg1 = run.approval::<Sg1>()?;
            run.phase(Purge(1)).perform(on, sg1, &first)?;
            Ok(())
        })
        .unwrap()
        .plan
}

#[test]
fn a_receipt_of_another_phase_of_the_same_type_is_refused() {
    let database = database();
    let calls = Calls::new();
    let plan = purging(&database, &calls);
    let refused = refusal(database.live_by(plan, Shows(&calls)).run(|run, on| {
        run.phase(Job(0)).perform(on, Ungated, Start)?;
        let second = run.phase(Job(1)).perform(on, Ungated, Start)?;
        let sg1 = run.approval::<Sg1>()?;
        run.phase(Purge(0)).perform(on, sg1, &second)?;
        Ok(())
    }));
    assert!(
        matches!(&refused, Refusal::OrderChanged { planned, presented, .. }
            if planned == &["job[0]"] && presented == &["job[1]"]),
        "{refused}"
    );
    assert_eq!(calls.count("2"), 0);
}

/// Approves the first purge, and nothing else.
struct OnlyTheFirst;

impl Authority for OnlyTheFirst {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        if request.phase() == "purge[0]" {
            phasegate::testing::ApprovesEverything.attest(request)
        } else {
            Err(Denied::new("not this one"))
        }
    }
}

#[test]
fn an_approval_that_was_asked_for_one_phase_does_not_open_the_next() {
    let database = database();
    let calls = Calls::new();
    let plan = purging(&database, &calls);
    let live = database
        .live_by(plan, Shows(&calls))
        .authority(OnlyTheFirst);
    let refused = refusal(live.run(|run, on| {
        let first = run.phase(Job(0)).perform(on, Ungated, Start)?;
        run.phase(Job(1)).perform(on, Ungated, Start)?;
        let (one, another) = (run.approval::<Sg1>()?, run.approval::<Sg1>()?);
        run.phase(Purge(0)).perform(on, one, &first)?;
        run.phase(Purge(1)).perform(on, another, &first)?;
        Ok(())
    }));
    assert!(
        matches!(&refused, Refusal::Approval { reason: ApprovalRefusal::AnotherPhase { asked, .. }, .. }
            if asked == "purge[0]"),
        "{refused}"
    );
    assert_eq!(calls.so_far(), ["0", "1", "0"]);
}

const END_MYSELF: &str = "SELECT pg_terminate_backend(pg_backend_pid())";

#[test]
fn an_adapter_that_drops_the_end_of_its_session_is_rolled_back_and_not_in_doubt() {
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
            tx.each_row(
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
fn a_row_that_failed_while_the_rows_arrived_and_was_dropped_is_named() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let rows = tx.query_raw("SELECT 1 / (2 - g) FROM generate_series(0, 2) AS g", &[])?;
        Ok(rows.flatten().count() as u64)
    });
    assert!(cause(answer).contains("division by zero"));
}

#[test]
fn a_phase_cannot_make_its_commit_less_durable_than_its_session_was() {
    for (session, phase, committed) in [
        ("on", "local", "on"),
        ("on", "off", "on"),
        ("remote_apply", "local", "remote_apply"),
        ("off", "off", "on"),
    ] {
        let database = database();
        let runner = database.runner.name();
        database.sql(&format!(
            "CREATE TABLE seen (setting text); \
             ALTER ROLE {runner} SET synchronous_commit = {session}"
        ));
        // Fires in the drain, puts itself off to the commit, and looks there.
        database.at_commit(
            "IF NOT EXISTS (SELECT FROM public.seen) THEN \
               INSERT INTO public.seen VALUES ('drained'); \
               SET CONSTRAINTS public.at_commit DEFERRED; \
               INSERT INTO public.item VALUES ('again', 'draft'); \
             ELSE \
               INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); \
             END IF",
        );
        let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
            tx.execute(&format!("SET synchronous_commit = {phase}"), &[])?;
            Ok(tx.execute(INSERT, &[&"a"])?)
        });
        assert_eq!(answer.unwrap(), 1);
        let seen: String = database.ask("SELECT string_agg(setting, ', ') FROM seen");
        assert_eq!(seen, format!("drained, {committed}"), "{session}, {phase}");
    }
}
