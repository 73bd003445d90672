//! What a rehearsal is refused for, before anything is touched.

use std::fs::File;

use phasegate::testing::{
    ScratchDatabase, Shutdown, TestPostgres, TripwireAdapter, TripwireConnector,
};
use phasegate::{
    Error, PhaseTx, Receipt, RehearsalRunner,
    connect::PostgresConnector,
    error::{Refusal, RefusalReason},
    runner::{Event, Given, Step},
};
use postgres::NoTls;

use crate::pipeline::Draft;
use crate::server::{Database, PIPELINE, database, drafting, refusal};
use crate::{Each, INSERT, Sets, draft_by, next, nothing_remains, rehearsal, rehearsal_through};

/// What a rehearsal of the one phase `Draft` is refused for in a session in which this was said.
fn refused_after(database: &Database, before: &'static str) -> Refusal {
    let connector = Sets(database.runner.config(), before);
    refused(rehearsal_through(connector, TripwireAdapter))
}

fn refused<C: phasegate::connect::Connector>(
    runner: RehearsalRunner<Given<C>, Given<TripwireAdapter>>,
) -> Refusal {
    let answer =
        runner.run(|run, on| drafting(run, on, &Draft::of(&["a"])).map(Receipt::into_output));
    refusal(answer)
}

#[test]
fn an_input_that_is_not_valid_is_refused_before_connecting() {
    let answer = rehearsal_through(TripwireConnector, TripwireAdapter)
        .run(|run, on| drafting(run, on, &Draft::of(&["a", ""])).map(Receipt::into_output));
    let refused = refusal(answer);
    assert_eq!(
        refused.row().map(phasegate::error::InputRow::ordinal),
        Some(2),
        "{refused}"
    );
}

#[test]
fn a_pipeline_without_phases_is_refused_without_connecting() {
    let answer = rehearsal_through(TripwireConnector, TripwireAdapter).run(|_, _| Ok(()));
    assert!(matches!(refusal(answer).reason(), RefusalReason::EmptyPlan));
}

#[test]
fn two_phases_of_one_name_are_refused() {
    let database = database();
    let adapter = Each(|_, tx: &mut PhaseTx<'_>| Ok(tx.query("SELECT 1", &[])?.len() as u64));
    let answer = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 1)?;
        let refused = refusal(next(run, on, 1));
        assert!(
            matches!(refused.reason(), RefusalReason::DuplicatePhase),
            "{refused}"
        );
        next(run, on, 2).map(drop)
    });
    assert_eq!(answer.unwrap().phases.len(), 2);
}

#[test]
fn a_session_that_is_not_as_it_should_be_is_refused() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!("GRANT pg_monitor TO {runner}"));
    let refused = refused_after(&database, "BEGIN");
    assert!(
        matches!(refused.reason(), RefusalReason::SessionInTransaction),
        "{refused}"
    );
    let refused = refused_after(&database, "SET ROLE pg_monitor");
    assert!(
        matches!(refused.reason(), RefusalReason::ActingRole { .. }),
        "{refused}"
    );
    database.sql(&format!("ALTER ROLE {runner} SET track_counts = off"));
    let refused = refused_after(&database, "");
    assert!(refused.to_string().contains("ZG015"), "{refused}");
    nothing_remains(&database);
}

#[test]
fn a_session_that_others_used_before_is_refused() {
    struct Kept(Option<postgres::Client>);
    impl phasegate::connect::Connector for Kept {
        fn connect(
            &mut self,
        ) -> Result<phasegate::connect::Connection, phasegate::connect::ConnectError> {
            let client = self.0.take();
            Ok(client
                .ok_or_else(|| phasegate::connect::ConnectError::new("no other"))?
                .into())
        }
    }
    let database = database();
    let client = database.runner.config().connect(NoTls).unwrap();
    database.until("the session is old", |database| {
        database.ask(&format!(
            "SELECT clock_timestamp() - backend_start > '50 ms' FROM pg_stat_activity WHERE usename = '{}'",
            database.runner.name()
        ))
    });
    let refused = refused(rehearsal_through(Kept(Some(client)), TripwireAdapter));
    assert!(
        matches!(refused.reason(), RefusalReason::SessionNotNew { .. }),
        "{refused}"
    );
    nothing_remains(&database);
}

#[test]
fn a_role_that_can_bypass_the_interlock_is_refused_by_default() {
    let database = database();
    database.sql(&format!("ALTER ROLE {} CREATEROLE", database.runner.name()));
    let refused = refused_after(&database, "");
    let RefusalReason::PrivilegedRole { privileges, .. } = refused.reason() else {
        panic!("{refused}")
    };
    assert!(
        privileges[0].starts_with("it can create roles"),
        "{privileges:?}"
    );
    let adapter = crate::server::does(|_, tx: &mut PhaseTx<'_>| Ok(tx.execute(INSERT, &[&"a"])?));
    let rehearsed = rehearsal(&database, adapter)
        .dangerously_allow_privileged_role()
        .run(|run, on| drafting(run, on, &Draft::of(&["a"])).map(Receipt::into_output));
    assert_eq!(rehearsed.unwrap().value, 1);
    nothing_remains(&database);
}

#[test]
fn a_role_that_may_not_perform_phases_may_not_rehearse_them() {
    let database = database();
    let other = database.role("other");
    let refused = refused(rehearsal_through(
        PostgresConnector::no_tls(other.config()),
        TripwireAdapter,
    ));
    assert!(
        matches!(refused.reason(), RefusalReason::NotARunner { .. }),
        "{refused}"
    );
    // No role may where EXECUTE is revoked.
    database.sql("REVOKE EXECUTE ON FUNCTION phasegate.open_rehearsal FROM phasegate_runner");
    let refused = refused_after(&database, "");
    assert!(
        matches!(refused.reason(), RefusalReason::NotARunner { .. }),
        "{refused}"
    );
}

#[test]
fn a_database_without_the_schema_and_a_standby_are_refused() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let runner = |config| {
        RehearsalRunner::new(PIPELINE)
            .connector(PostgresConnector::no_tls(config))
            .adapter(TripwireAdapter)
    };
    let bare: ScratchDatabase = server.create_database().unwrap();
    let not_installed = refused(runner(bare.admin()));
    assert!(
        matches!(not_installed.reason(), RefusalReason::NotInstalled { .. }),
        "{not_installed}"
    );
    server.shut_down(Shutdown::Fast).unwrap();
    let data = server.directory().unwrap().join("data");
    File::create(data.join("standby.signal")).unwrap();
    server.start_again().unwrap();
    let standby = refused(runner(server.admin()));
    assert!(
        matches!(standby.reason(), RefusalReason::Standby),
        "{standby}"
    );
}

#[test]
fn a_failing_connector_is_a_refusal_and_may_work_later() {
    struct Second(Option<PostgresConnector>, u32);
    impl phasegate::connect::Connector for Second {
        fn connect(
            &mut self,
        ) -> Result<phasegate::connect::Connection, phasegate::connect::ConnectError> {
            self.1 += 1;
            match (&mut self.0, self.1) {
                (Some(connector), 2..) => connector.connect(),
                _ => Err(phasegate::connect::ConnectError::new("not yet")),
            }
        }
    }
    let database = database();
    let adapter = Each(|_, tx: &mut PhaseTx<'_>| Ok(tx.execute(INSERT, &[&"a"])?));
    let answer =
        rehearsal_through(Second(Some(database.connector()), 0), adapter).run(|run, on| {
            let refused = refusal(next(run, on, 1));
            assert!(
                matches!(refused.reason(), RefusalReason::NotConnected(_)),
                "{refused}"
            );
            next(run, on, 1).map(drop)
        });
    assert_eq!(answer.unwrap().phases.len(), 1);
}

#[test]
fn the_steps_of_a_rehearsal_are_told_in_their_order() {
    let database = database();
    let (told, events) = std::sync::mpsc::channel();
    let adapter = Each(|_, tx: &mut PhaseTx<'_>| Ok(tx.query("SELECT 1", &[])?.len() as u64));
    let answer: Result<_, Error> = rehearsal(&database, adapter)
        .observer(move |event: &Event<'_>| {
            let step = match event {
                Event::Passed { step, .. } => *step,
                _ => return,
            };
            told.send(step).unwrap();
        })
        .run(|run, on| {
            next(run, on, 1)?;
            next(run, on, 2).map(drop)
        });
    answer.unwrap();
    let told: Vec<_> = events.iter().collect();
    let (valid, opened, performed) = (Step::Valid, Step::Opened, Step::Performed);
    assert_eq!(
        told,
        [
            valid,
            Step::Connected,
            opened,
            performed,
            valid,
            opened,
            performed
        ]
    );
    assert!(draft_by(&database, |_, _| Ok(1)).is_ok());
}
