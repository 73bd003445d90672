//! The fake server refuses what it does not know, and keeps transactions as a server does; a live run on it ends as on
//! a real one, also where its connection is dropped.
#![allow(clippy::unwrap_used)]

mod pipeline;

use std::time::Duration;

use phasegate::testing::{
    ApprovesEverything, FakePostgres, RecordedStatement, ScriptedStatement, SqlRefusal, TestSwitch,
    dry,
};
use phasegate::{
    DryRunner, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseTx, Plan, RehearsalRunner,
    Run, Sg1, Start, Switch,
    audit::CommitEvidence,
    connect::{Connector, PostgresConnector},
    error::RollbackCause,
    switch::{KillSwitch, SwitchState},
};
use postgres::error::SqlState;
use postgres::types::Type;
use postgres::{Client, NoTls};

use pipeline::{Adapter, Draft, Simulator};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

fn insert() -> ScriptedStatement {
    ScriptedStatement::beginning("INSERT INTO item")
        .takes([Type::TEXT])
        .changes(1)
}

fn commit() -> ScriptedStatement {
    ScriptedStatement::beginning("COMMIT")
}

fn fake(script: impl IntoIterator<Item = ScriptedStatement>) -> FakePostgres {
    FakePostgres::start(script).unwrap()
}

fn connect(fake: &FakePostgres) -> Client {
    fake.config().connect(NoTls).unwrap()
}

fn drafting<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<u64, Error> {
    let sg1 = run.approval::<Sg1>()?;
    let draft = Draft::of(&["a", "b", "c"]);
    Ok(run.phase(draft).perform(on, sg1, Start)?.into_output())
}

fn plan(fake: &FakePostgres) -> Plan {
    let dry = DryRunner::new("fake").target(fake.target().clone());
    dry.simulator(Simulator).run(drafting).unwrap().plan
}

fn live_by<W: Execute<Draft>>(fake: &FakePostgres, adapter: W) -> Result<u64, Error> {
    let plan = plan(fake);
    fake.admit(&plan);
    live_of(fake, plan, adapter)
}

fn live_of<W: Execute<Draft>>(fake: &FakePostgres, plan: Plan, adapter: W) -> Result<u64, Error> {
    LiveRunner::new("fake")
        .plan(plan)
        .kill_switch(TestSwitch::on())
        .authority(ApprovesEverything)
        .connector(fake.connector())
        .adapter(adapter)
        .run(drafting)
        .map(phasegate::runner::LiveReport::into_value)
}

fn code(error: &postgres::Error) -> &str {
    error.code().map_or("none", SqlState::code)
}

fn titles(statements: &[RecordedStatement]) -> Vec<String> {
    statements
        .iter()
        .map(|statement| statement.params()[0].to_string())
        .collect()
}

#[test]
fn an_unknown_statement_is_refused_and_named() {
    let fake = fake([]);
    let mut client = connect(&fake);
    for error in [
        client.simple_query("SELECT 1").unwrap_err(),
        client.query("SELECT 1", &[]).unwrap_err(),
        client.query_typed("SELECT 1", &[]).unwrap_err(),
    ] {
        let said = error.as_db_error().unwrap();
        assert_eq!(code(&error), "0A000");
        assert!(said.message().ends_with("SELECT 1"), "{said}");
        assert!(
            said.hint()
                .unwrap()
                .contains("ScriptedStatement::beginning(\"SELECT 1\")")
        );
    }
    assert!(client.copy_in("COPY item FROM STDIN").is_err());
    let rehearsed = RehearsalRunner::new("fake")
        .connector(fake.connector())
        .adapter(Adapter)
        .run(drafting);
    assert!(matches!(rehearsed, Err(Error::Refused(_))), "{rehearsed:?}");
}

#[test]
fn parameters_have_the_types_of_the_script() {
    let fake = fake([
        insert(),
        ScriptedStatement::beginning("DELETE FROM item").changes(1),
    ]);
    let mut client = connect(&fake);
    assert!(
        client.execute(INSERT, &[&7_i64]).is_err(),
        "a bigint is no text"
    );
    let error = client
        .execute("DELETE FROM item WHERE name = $1", &[&"a"])
        .unwrap_err();
    assert_eq!(code(&error), "42P18");
    let error = client
        .query_typed(INSERT, &[(&7_i64, Type::INT8)])
        .unwrap_err();
    assert_eq!(code(&error), "42804");
    assert_eq!(client.execute(INSERT, &[&"a"]).unwrap(), 1);
    assert_eq!(titles(&fake.committed()), ["a"]);
}

#[test]
fn a_failed_transaction_refuses_until_it_ends() {
    let fake =
        fake([insert().fails_at(2, SqlRefusal::new("23505", "twice").constraint("item_pkey"))]);
    let mut client = connect(&fake);
    let mut tx = client.transaction().unwrap();
    tx.execute(INSERT, &[&"a"]).unwrap();
    let error = tx.execute(INSERT, &[&"a"]).unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("item_pkey"));
    let refused = tx.execute(INSERT, &[&"c"]).unwrap_err();
    assert_eq!(code(&refused), "25P02");
    tx.commit()
        .expect("the driver says that it is committed, as with a real server");
    assert!(fake.committed().is_empty());
    client.batch_execute("BEGIN; SELECT 1; COMMIT").unwrap_err();
    client.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn a_message_without_a_block_is_a_transaction() {
    let fake = fake([ScriptedStatement::beginning("DELETE FROM item").changes(1)]);
    let mut client = connect(&fake);
    client
        .batch_execute("DELETE FROM item; SELECT 1")
        .unwrap_err();
    assert!(fake.committed().is_empty());
    client
        .batch_execute("DELETE FROM item; DELETE FROM item")
        .unwrap();
    assert_eq!(fake.committed().len(), 2);
}

#[test]
fn a_savepoint_undoes_what_came_after_it() {
    let fake = fake([insert()]);
    let answer = live_by(&fake, Savepoint);
    assert_eq!(answer.unwrap(), 2);
    assert_eq!(titles(&fake.committed()), ["a", "c"]);
}

struct Savepoint;

impl Execute<Draft> for Savepoint {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        tx.execute(INSERT, &[&"a"])?;
        let undone = tx.savepoint(|tx| {
            tx.execute(INSERT, &[&"b"])?;
            Err::<(), _>(Failure::new("no"))
        });
        assert!(undone.is_err());
        tx.savepoint(|tx| Ok(tx.execute(INSERT, &[&"c"])?))?;
        Ok(2)
    }
}

#[test]
fn a_live_phase_is_committed_once() {
    let fake = fake([insert()]);
    assert_eq!(live_by(&fake, Adapter).unwrap(), 3);
    assert_eq!(titles(&fake.committed()), ["a", "b", "c"]);
    assert_eq!(fake.committed_phases(), ["draft"]);
    let again = live_by(&fake, phasegate::testing::TripwireAdapter);
    assert_eq!(again.unwrap(), 3, "the output of the journal");
    assert_eq!(fake.committed_phases(), ["draft"]);
}

#[test]
fn a_statement_for_many_rows_is_sent_row_by_row() {
    let fake = fake([insert().fails_at(150, SqlRefusal::new("23505", "twice"))]);
    let Err(Error::RolledBack(rollback)) = live_by(&fake, Batch) else {
        panic!("not rolled back");
    };
    assert_eq!(rollback.row().unwrap().ordinal(), 150);
    assert!(fake.committed().is_empty());
    assert_eq!(live_by(&fake, Batch).unwrap(), 200);
    assert_eq!(titles(&fake.committed())[199], "199");
}

struct Batch;

impl Execute<Draft> for Batch {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let rows: Vec<_> = (0..200).map(|row| row.to_string()).collect();
        let done =
            tx.batch(&rows)
                .execute(INSERT, |row, params| params.with(row), |_, _| Ok(()))?;
        Ok(done.len() as u64)
    }
}

#[test]
fn a_function_for_many_rows_is_called_for_each() {
    let close = ScriptedStatement::beginning("SELECT close_account(")
        .takes([Type::TEXT])
        .returns([("closed", Type::INT8)], [vec![1.into()]])
        .fails_at(150, SqlRefusal::new("23514", "frozen"));
    let fake = fake([close]);
    let Err(Error::RolledBack(rollback)) = live_by(&fake, Calls) else {
        panic!("not rolled back");
    };
    assert_eq!(rollback.row().unwrap().ordinal(), 150);
    assert!(fake.committed().is_empty());
    assert_eq!(live_by(&fake, Calls).unwrap(), 200);
    assert_eq!(titles(&fake.committed())[199], "199");
    assert_eq!(fake.committed()[0].text(), "SELECT close_account($1)");
}

struct Calls;

impl Execute<Draft> for Calls {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let rows: Vec<_> = (0..200).map(|row| row.to_string()).collect();
        let closed = tx.batch(&rows).call(
            "close_account",
            |row, params| params.with(row),
            |_, closed: i64| Ok(closed),
        )?;
        Ok(closed.len() as u64)
    }
}

#[test]
fn a_message_that_resets_the_session_before_it_opens_is_known() {
    let fake = fake([insert()]);
    let mut client = connect(&fake);
    let statement = client.prepare(INSERT).unwrap();
    client
        .batch_execute(
            "CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; \
             SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD PLANS; DISCARD TEMP; \
             SELECT pg_catalog.set_config('a.b', 'c', false); BEGIN; SET LOCAL lock_timeout = 1",
        )
        .unwrap();
    assert_eq!(client.execute(&statement, &[&"a"]).unwrap(), 1);
    client.batch_execute("COMMIT; DEALLOCATE ALL").unwrap();
    assert_eq!(
        code(&client.execute(&statement, &[&"a"]).unwrap_err()),
        "26000"
    );
}

#[test]
fn a_connection_dropped_in_the_middle_rolls_back() {
    let fake = fake([insert().drops_before(2)]);
    let Err(Error::RolledBack(rollback)) = live_by(&fake, Adapter) else {
        panic!("not rolled back");
    };
    assert_eq!(rollback.row().unwrap().ordinal(), 2);
    assert!(fake.committed().is_empty());
    assert_eq!(
        live_by(&fake, Adapter).unwrap(),
        3,
        "the next run performs it"
    );
}

#[test]
fn a_commit_whose_response_was_lost_is_resolved_as_committed() {
    let fake = fake([insert(), commit().drops_after(1)]);
    let plan = plan(&fake);
    fake.admit(&plan);
    let evidence = LiveRunner::new("fake")
        .plan(plan)
        .kill_switch(TestSwitch::on())
        .authority(ApprovesEverything)
        .connector(fake.connector())
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval::<Sg1>()?;
            let draft = Draft::of(&["a", "b", "c"]);
            let receipt = run.phase(draft).perform(on, sg1, Start)?;
            Ok(receipt.committed().evidence())
        });
    assert_eq!(evidence.unwrap().value, CommitEvidence::Resolved);
    assert_eq!(fake.committed_phases(), ["draft"]);
}

#[test]
fn a_commit_that_was_lost_is_resolved_as_rolled_back() {
    let fake = fake([insert(), commit().drops_before(1)]);
    let answer = live_by(&fake, Adapter);
    assert!(matches!(answer, Err(Error::RolledBack(_))), "{answer:?}");
    assert!(fake.committed().is_empty());
}

#[test]
fn a_commit_that_is_refused_leaves_nothing() {
    let late = SqlRefusal::new("23505", "twice").constraint("one_of_each");
    let fake = fake([insert(), commit().fails_at(1, late)]);
    let Err(Error::RolledBack(rollback)) = live_by(&fake, Adapter) else {
        panic!("not rolled back");
    };
    let cause = rollback.cause();
    assert!(
        matches!(cause, RollbackCause::CommitRefused(_)),
        "{cause:?}"
    );
    assert!(fake.committed().is_empty());
}

#[test]
fn the_switch_and_the_lease_of_the_database_refuse() {
    let fake = fake([insert()]);
    fake.switch_off();
    assert_eq!(refused_code(live_by(&fake, Adapter)), "switch_off");
    fake.switch_on();
    fake.clock().advance(Duration::from_hours(25));
    assert_eq!(refused_code(live_by(&fake, Adapter)), "lease_over");
    let switch = phasegate::switch::LeaseSwitch::new(fake.connector());
    assert_eq!(switch.read().unwrap(), SwitchState::Off);
    fake.switch_on();
    assert_eq!(switch.read().unwrap(), SwitchState::On);
    assert_eq!(live_by(&fake, Adapter).unwrap(), 3);
}

fn refused_code(answer: Result<u64, Error>) -> &'static str {
    match answer {
        Err(Error::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_plan_that_was_not_admitted_and_another_target_are_refused() {
    let fake = fake([insert()]);
    assert_eq!(
        refused_code(live_of(&fake, plan(&fake), Adapter)),
        "not_admitted"
    );
    let elsewhere = dry(Simulator, drafting).unwrap().plan;
    fake.admit(&elsewhere);
    let answer = LiveRunner::new("dry")
        .plan(elsewhere)
        .kill_switch(TestSwitch::on())
        .authority(ApprovesEverything)
        .connector(fake.connector())
        .adapter(Adapter)
        .run(drafting);
    assert_eq!(
        refused_code(answer.map(|report| report.value)),
        "another_target"
    );
    assert!(fake.committed().is_empty());
}

#[test]
fn a_transaction_with_an_open_phase_is_not_committed_by_hand() {
    let fake = fake([insert()]);
    let answer = live_by(&fake, CommitsByHand(fake.connector()));
    assert!(answer.is_err(), "{answer:?}");
    assert!(fake.committed().is_empty());
    assert_eq!(fake.committed_phases(), [""; 0]);
}

struct CommitsByHand(PostgresConnector);

impl Execute<Draft> for CommitsByHand {
    fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        tx.execute(INSERT, &[&"a"])?;
        assert!(
            tx.execute("COMMIT", &[]).is_err(),
            "recognised by its first word"
        );
        // Another session, which has no phase.
        self.0
            .connect()
            .map_err(|error| Failure::new(error.to_string()))?;
        Err(Failure::new("by hand"))
    }
}

#[test]
fn a_server_leaves_nothing_behind() {
    let fake = fake([]);
    let directory = match fake.config().get_hosts() {
        [postgres::config::Host::Unix(path)] => path.clone(),
        other => panic!("{other:?}"),
    };
    let mut client = connect(&fake);
    assert!(directory.exists());
    drop(fake);
    assert!(!directory.exists());
    assert!(client.simple_query("SELECT 1").is_err());
}
