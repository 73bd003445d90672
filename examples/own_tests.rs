//! Tests of a pipeline of your own: `cargo test --example own_tests`, or `cargo run --example own_tests`.
//!
//! The first two tests need no server, the third one needs a fake server, which is part of this process. The others use a
//! database of their own in a private server. In a crate of yours these functions are in `tests/` with `#[test]` on each.
#![allow(clippy::print_stdout)]

use phasegate::prelude::*;
use phasegate::testing::{
    self, ApprovesEverything, FakePostgres, PreparedDatabase, ScriptedStatement, SqlRefusal,
    TestPostgres, TestSwitch, TripwireAdapter, TripwireAuthority, TripwireConnector,
};
use phasegate::{error::RollbackCause, plan::RowCounts, runner::LiveReport};
use postgres::types::Type;
use serde::{Deserialize, Serialize};

type Outcome = Result<(), Box<dyn std::error::Error>>;

// What is tested: a phase, its two adapters and the pipeline.

/// Gives every employee a raise.
#[derive(Serialize, Deserialize)]
struct Raise {
    percent: i64,
}

impl PhaseSpec for Raise {
    const NAME: &'static str = "raise";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

/// Predicts the raise of two employees.
struct Simulator;

impl Simulate<Raise> for Simulator {
    fn simulate(&mut self, _: &Raise, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.update("public.employee", 2);
        Ok(2)
    }
}

/// Performs the raise.
struct Payroll;

impl Execute<Raise> for Payroll {
    fn execute(&mut self, raise: &Raise, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let update = "UPDATE employee SET salary = salary + salary * $1 / 100";
        Ok(tx.execute(update, &[&raise.percent])?)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, Raise>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<u64, Error> {
    let sg1 = run.approval::<Sg1>()?;
    let raise = Raise { percent: 3 };
    Ok(run.phase(raise).perform(on, sg1, Start)?.into_output())
}

fn plan(target: &Target) -> Result<Plan, Error> {
    let dry = DryRunner::new("payroll").target(target.clone());
    Ok(dry.simulator(Simulator).run(pipeline)?.plan)
}

// The tests without a server.

#[cfg_attr(test, test)]
fn the_raise_is_one_phase_behind_sg_1_with_two_updates() -> Outcome {
    let dry = testing::dry(Simulator, pipeline)?;
    assert_eq!(dry.names(), ["raise"]);
    assert_eq!(dry.phase("raise").gates, ["SG_1"]);
    let changed = dry.phase("raise").effects.of("public.employee");
    assert_eq!(changed, RowCounts::new(0, 2, 0));
    Ok(())
}

#[cfg_attr(test, test)]
fn a_live_run_with_the_switch_off_calls_no_collaborator() -> Outcome {
    let ran = LiveRunner::new("dry")
        .plan(testing::dry(Simulator, pipeline)?.plan)
        .kill_switch(TestSwitch::off())
        .authority(TripwireAuthority)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(pipeline);
    assert!(matches!(ran, Err(Error::Refused(_))), "{ran:?}");
    Ok(())
}

#[cfg_attr(test, test)]
fn a_commit_that_the_server_refuses_leaves_nothing() -> Outcome {
    let late = SqlRefusal::new("23514", "the budget is exceeded").constraint("budget");
    let fake = FakePostgres::start([
        ScriptedStatement::beginning("UPDATE employee")
            .takes([Type::INT8])
            .changes(2),
        ScriptedStatement::beginning("COMMIT").fails_at(1, late),
    ])?;
    let plan = plan(fake.target())?;
    fake.admit(&plan);
    let ran = LiveRunner::new("payroll")
        .plan(plan)
        .kill_switch(TestSwitch::on())
        .authority(ApprovesEverything)
        .connector(fake.connector())
        .adapter(Payroll)
        .run(pipeline);
    assert!(matches!(ran, Err(Error::RolledBack(_))), "{ran:?}");
    assert!(fake.committed().is_empty());
    Ok(())
}

// The tests on a real server.

/// A database with two employees in it.
fn company(server: &TestPostgres) -> Result<PreparedDatabase, testing::ServerError> {
    server.prepare(
        "CREATE TABLE employee (name text, salary bigint CHECK (salary < 5000));
         INSERT INTO employee VALUES ('ada', 4000), ('grace', 4100);
         SELECT phasegate.protect('employee');
         GRANT SELECT, UPDATE ON employee TO {runner}",
    )
}

fn live(
    company: &PreparedDatabase,
) -> Result<Result<LiveReport<u64>, Error>, Box<dyn std::error::Error>> {
    let plan = plan(company.target())?;
    company.admit(&plan)?;
    Ok(company.live(&plan, Payroll, pipeline))
}

fn salaries(company: &PreparedDatabase) -> Result<i64, Box<dyn std::error::Error>> {
    let sum = "SELECT sum(salary)::bigint FROM employee";
    Ok(company.admin()?.query_one(sum, &[])?.try_get(0)?)
}

#[cfg_attr(test, test)]
fn the_simulator_predicts_what_the_adapter_does() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let rehearsed = company(&server)?.rehearse(Payroll, pipeline)?;
    testing::compare(&testing::dry(Simulator, pipeline)?.plan, &rehearsed.plan)?;
    Ok(())
}

#[cfg_attr(test, test)]
fn a_live_run_gives_both_employees_the_raise() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let company = company(&server)?;
    assert_eq!(live(&company)??.value, 2);
    assert_eq!(salaries(&company)?, 4_120 + 4_223);
    Ok(())
}

#[cfg_attr(test, test)]
fn a_salary_above_the_limit_rolls_the_raise_back() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let company = company(&server)?;
    let raised = "UPDATE employee SET salary = 4990 WHERE name = 'grace'";
    company.admin()?.batch_execute(raised)?;
    match live(&company)? {
        Err(Error::RolledBack(rollback)) => {
            let constraint = rollback.failure().and_then(Failure::constraint);
            assert_eq!(constraint, Some("employee_salary_check"));
        }
        other => return Err(format!("not rolled back: {other:?}").into()),
    }
    assert_eq!(salaries(&company)?, 4_000 + 4_990);
    Ok(())
}

#[cfg_attr(test, test)]
fn a_third_employee_is_not_what_was_planned() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let company = company(&server)?;
    let third = "INSERT INTO employee VALUES ('mary', 3900)";
    company.admin()?.batch_execute(third)?;
    match live(&company)? {
        Err(Error::RolledBack(rollback)) => {
            let cause = rollback.cause();
            assert!(
                matches!(cause, RollbackCause::EffectsDiffer(_)),
                "{cause:?}"
            );
        }
        other => return Err(format!("not rolled back: {other:?}").into()),
    }
    assert_eq!(salaries(&company)?, 4_000 + 4_100 + 3_900);
    Ok(())
}

fn main() -> Outcome {
    the_raise_is_one_phase_behind_sg_1_with_two_updates()?;
    a_live_run_with_the_switch_off_calls_no_collaborator()?;
    a_commit_that_the_server_refuses_leaves_nothing()?;
    the_simulator_predicts_what_the_adapter_does()?;
    a_live_run_gives_both_employees_the_raise()?;
    a_salary_above_the_limit_rolls_the_raise_back()?;
    a_third_employee_is_not_what_was_planned()?;
    println!("7 tests passed");
    Ok(())
}
