//! The doubles for users' suites: what `dry` returns, canned results, a prepared database, and a simulator against its
//! adapter.
#![allow(clippy::unwrap_used)]

mod pipeline;

use std::sync::OnceLock;
use std::time::Duration;

use phasegate::plan::RowCounts;
use phasegate::testing::{
    self, Canned, FakePostgres, PreparedDatabase, TestAuthority, TestClock, TestPostgres,
    TestSwitch, TripwireAdapter,
};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Run, Sg1, Simulate, Start, Switch,
    error::{ApprovalRefusal, RefusalReason},
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde::{Deserialize, Serialize};

use pipeline::{Check, Draft, Enact, Publish, Simulator, pipeline as four_phases};

/// Doubles the balance of each account with one of these numbers.
#[derive(Serialize, Deserialize)]
struct Double(Vec<i32>);

impl PhaseSpec for Double {
    const NAME: &'static str = "double";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

fn doubling<'run, M: Mode, W: Perform<M, Double>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    numbers: &[i32],
) -> Result<u64, Error> {
    let sg1 = run.approval()?;
    Ok(run
        .phase(Double(numbers.to_vec()))
        .perform(on, sg1, Start)?
        .into_output())
}

/// Ten accounts, numbered from 1.
fn bank() -> PreparedDatabase {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| TestPostgres::find_or_start().unwrap());
    let database = server.prepare(
        "CREATE TABLE account (number int PRIMARY KEY, balance bigint NOT NULL);
         INSERT INTO account SELECT n, 100 FROM generate_series(1, 10) AS n;
         SELECT phasegate.protect('account'); GRANT SELECT, UPDATE ON account TO {runner}",
    );
    database.unwrap()
}

struct Bank;

impl Execute<Double> for Bank {
    fn execute(&mut self, double: &Double, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let update = "UPDATE account SET balance = balance * 2 WHERE number = ANY($1)";
        Ok(tx.execute(update, &[&double.0])?)
    }
}

/// Predicts one update for each number; it may forget that a number may be given twice.
struct Predict {
    knows_twice: bool,
}

impl Simulate<Double> for Predict {
    fn simulate(&mut self, double: &Double, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        let mut numbers: Vec<_> = double
            .0
            .iter()
            .filter(|number| (1..=10).contains(*number))
            .collect();
        if self.knows_twice {
            numbers.sort_unstable();
            numbers.dedup();
        }
        effects.update("public.account", numbers.len() as u64);
        Ok(numbers.len() as u64)
    }
}

#[test]
fn dry_returns_phases_gates_order_and_effects() {
    let dry = testing::dry(Simulator, |run, on| {
        four_phases(run, on, Draft::of(&["a", "b"]))
    });
    let dry = dry.unwrap();
    assert_eq!(dry.value, 2);
    assert_eq!(dry.names(), ["draft", "check", "enact", "publish"]);
    assert_eq!(dry.phase("draft").gates, ["SG_1"]);
    assert_eq!(dry.phase("check").gates, [""; 0]);
    assert_eq!(dry.phase("publish").gates, ["SG_1", "SG_2"]);
    assert_eq!(dry.phase("publish").after, ["draft", "enact"]);
    let changed = dry.phase("enact").effects.of(pipeline::TABLE);
    assert_eq!(changed, RowCounts::new(0, 2, 0));
}

#[test]
#[should_panic(
    expected = "no phase `announce`, but [\"draft\", \"check\", \"enact\", \"publish\"]"
)]
fn a_phase_that_is_not_there_is_named_with_those_that_are() {
    let dry = testing::dry(Simulator, |run, on| four_phases(run, on, Draft::of(&["a"])));
    let _ = dry.unwrap().phase("announce");
}

#[test]
fn canned_results_serve_any_phase_in_their_order() {
    let canned = || {
        Canned::new()
            .returns::<Draft>(&1)
            .returns::<Check>(&2)
            .returns::<Enact>(&7)
    };
    let run = |canned| testing::dry(canned, |run, on| four_phases(run, on, Draft::of(&["a"])));
    let all = canned().returns::<Publish>(&());
    assert_eq!(run(all).unwrap().value, 7);
    let said = run(canned()).unwrap_err().to_string();
    assert!(said.contains("no result for phase `publish`"), "{said}");
    let failing = canned().fails_at_row::<Publish>(3, "c", "not today");
    let said = run(failing).unwrap_err().to_string();
    assert!(
        said.contains("row 3") && said.contains("not today"),
        "{said}"
    );
}

#[test]
fn an_approval_expires_by_the_clock_of_the_test() {
    // It is asked whether a phase has spent the approval before.
    let fake = FakePostgres::start([]).unwrap();
    let clock = TestClock::stopped_now();
    let authority = TestAuthority::new(&clock);
    authority.approve_until::<Sg1>(clock.now() + Duration::from_mins(1));
    let run = || {
        LiveRunner::new("dry")
            .plan(
                testing::dry(Canned::new().returns::<Double>(&1), |run, on| {
                    doubling(run, on, &[1])
                })
                .unwrap()
                .plan,
            )
            .kill_switch(TestSwitch::on())
            .authority(authority.clone())
            .connector(fake.connector())
            .adapter(TripwireAdapter)
            .run(|run, _| run.approval::<Sg1>().map(drop))
    };
    assert!(
        matches!(run(), Err(Error::Incomplete(_))),
        "the approval was accepted"
    );
    clock.advance(Duration::from_secs(61));
    let Err(Error::Refused(refusal)) = run() else {
        panic!("not refused");
    };
    let RefusalReason::Approval { reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert!(
        matches!(reason, ApprovalRefusal::Expired { .. }),
        "{reason}"
    );
    assert_eq!(authority.asked(), ["SG_1 for double"; 2]);
}

#[test]
fn an_adapter_is_tested_on_a_prepared_database() {
    let database = bank();
    let rehearsed = database
        .rehearse(Bank, |run, on| doubling(run, on, &[1, 2]))
        .unwrap();
    assert_eq!(
        rehearsed.phases[0].effects.of("public.account"),
        RowCounts::new(0, 2, 0)
    );
    let dry = DryRunner::new("bank").target(database.target().clone());
    let dry = dry
        .simulator(Predict { knows_twice: true })
        .run(|run, on| doubling(run, on, &[1, 2]));
    let plan = dry.unwrap().plan;
    database.admit(&plan).unwrap();
    let live = database.live(&plan, Bank, |run, on| doubling(run, on, &[1, 2]));
    assert_eq!(live.unwrap().performed, 1);
    let sum = "SELECT sum(balance)::bigint FROM account";
    let sum: i64 = database
        .admin()
        .unwrap()
        .query_one(sum, &[])
        .unwrap()
        .get(0);
    assert_eq!(sum, 1_200, "the rehearsal has left nothing");
}

#[test]
fn a_simulator_that_predicts_something_else_is_found() {
    let database = bank();
    let compared = |knows_twice, numbers: &[i32]| {
        let simulator = Predict { knows_twice };
        let predicted = testing::dry(simulator, |run, on| doubling(run, on, numbers))
            .unwrap()
            .plan;
        let measured = database
            .rehearse(Bank, |run, on| doubling(run, on, numbers))
            .unwrap()
            .plan;
        testing::compare(&predicted, &measured)
    };
    compared(false, &[1, 2]).unwrap();
    let differs = compared(false, &[1, 1]).unwrap_err();
    assert_eq!(
        differs.differences(),
        ["phase `double`, table `public.account`: predicted: updated 2; measured: updated 1"]
    );
    let other = testing::dry(Predict { knows_twice: true }, |run, on| {
        doubling(run, on, &[1])
    });
    let measured = database
        .rehearse(Bank, |run, on| doubling(run, on, &[2]))
        .unwrap()
        .plan;
    let differs = testing::compare(&other.unwrap().plan, &measured).unwrap_err();
    assert!(
        differs.to_string().contains("different inputs"),
        "{differs}"
    );
}

#[test]
fn a_simulator_that_is_right_is_right_for_every_input() {
    let database = bank();
    let config = ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same inputs each time.
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let inputs = proptest::collection::vec(-2..14_i32, 0..12);
    let property = |numbers: Vec<i32>| {
        let simulator = Predict { knows_twice: true };
        let predicted = testing::dry(simulator, |run, on| doubling(run, on, &numbers));
        let measured = database.rehearse(Bank, |run, on| doubling(run, on, &numbers));
        testing::compare(&predicted.unwrap().plan, &measured.unwrap().plan)
            .map_err(|differs| TestCaseError::fail(differs.to_string()))
    };
    runner.run(&inputs, property).unwrap();
}
