//! Tests of a pipeline of your own: `cargo test --example own_tests`, or `cargo run --example own_tests`.
//!
//! The first two tests need no server: doubles of `phasegate::testing` stand for every collaborator,
//! and one that must not be called is a tripwire, which panics. The others use a database of their own
//! in a private server. In a crate of yours these functions are in `tests/` with `#[test]` on each.
#![allow(clippy::print_stdout)]

use phasegate::prelude::*;
use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScratchDatabase, ScratchRole, ScriptedSwitch,
    TestPostgres, TripwireAdapter, TripwireAuthority, TripwireConnector,
};
use phasegate::{connect::PostgresConnector, error::RollbackCause};
use postgres::NoTls;
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

// The tests.

/// A database with two employees in it, and the role that performs phases there.
struct Company {
    runner: ScratchRole,
    database: ScratchDatabase,
    operator: phasegate::operator::Operator,
}

impl Company {
    fn new(server: &TestPostgres) -> Result<Self, Box<dyn std::error::Error>> {
        let database = server.create_database()?;
        let operator = database.install()?;
        let runner = database.create_runner("payroll")?;
        database.admin().connect(NoTls)?.batch_execute(&format!(
            "CREATE TABLE employee (name text, salary bigint CHECK (salary < 5000));
             INSERT INTO employee VALUES ('ada', 4000), ('grace', 4100);
             SELECT phasegate.protect('employee');
             GRANT SELECT, UPDATE ON employee TO {}",
            runner.name()
        ))?;
        Ok(Company {
            runner,
            database,
            operator,
        })
    }

    /// Plans the raise, and admits the plan and everything that the double approves.
    fn plan(&mut self) -> Result<Plan, Box<dyn std::error::Error>> {
        let plan = plan(Target::identify(&mut self.runner.config().connect(NoTls)?)?)?;
        ApprovesEverything::admit(&mut self.operator, &plan)?;
        Ok(plan)
    }

    fn sql(&self, sql: &str) -> Result<(), postgres::Error> {
        self.database.admin().connect(NoTls)?.batch_execute(sql)
    }

    fn salaries(&self) -> Result<i64, postgres::Error> {
        let sum = "SELECT sum(salary)::bigint FROM employee";
        let mut admin = self.database.admin().connect(NoTls)?;
        admin.query_one(sum, &[])?.try_get(0)
    }

    fn live(&self, plan: Plan) -> Result<phasegate::runner::LiveReport<u64>, Error> {
        LiveRunner::new("payroll")
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(PostgresConnector::no_tls(self.runner.config()))
            .adapter(Payroll)
            .run(pipeline)
    }
}

fn plan(target: Target) -> Result<Plan, Error> {
    let dry = DryRunner::new("payroll").target(target);
    Ok(dry.simulator(Simulator).run(pipeline)?.plan)
}

/// A target for tests in which no server is reached.
fn nowhere() -> Target {
    Target::new("0", "nowhere", "nobody")
}

#[cfg_attr(test, test)]
fn a_dry_run_calls_the_simulator_and_predicts_two_updates() -> Outcome {
    let calls = Calls::new();
    let report = DryRunner::new("payroll")
        .target(nowhere())
        .simulator(Recorder::new(Simulator, &calls))
        .run(pipeline)?;
    assert_eq!(report.value, 2);
    assert_eq!(calls.so_far(), ["simulate raise"]);
    Ok(())
}

#[cfg_attr(test, test)]
fn a_live_run_with_the_switch_off_calls_no_collaborator() -> Outcome {
    let ran = LiveRunner::new("payroll")
        .plan(plan(nowhere())?)
        .kill_switch(ScriptedSwitch::on_for(0))
        .authority(TripwireAuthority)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(pipeline);
    assert!(matches!(ran, Err(Error::Refused(_))), "{ran:?}");
    Ok(())
}

#[cfg_attr(test, test)]
fn a_live_run_gives_both_employees_the_raise() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let mut company = Company::new(&server)?;
    let plan = company.plan()?;
    assert_eq!(company.live(plan)?.value, 2);
    assert_eq!(company.salaries()?, 4_120 + 4_223);
    Ok(())
}

#[cfg_attr(test, test)]
fn a_salary_above_the_limit_rolls_the_raise_back() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let mut company = Company::new(&server)?;
    company.sql("UPDATE employee SET salary = 4990 WHERE name = 'grace'")?;
    let plan = company.plan()?;
    match company.live(plan) {
        Err(Error::RolledBack(rollback)) => {
            let constraint = rollback.failure().and_then(Failure::constraint);
            assert_eq!(constraint, Some("employee_salary_check"));
        }
        other => return Err(format!("not rolled back: {other:?}").into()),
    }
    assert_eq!(company.salaries()?, 4_000 + 4_990);
    Ok(())
}

#[cfg_attr(test, test)]
fn a_third_employee_is_not_what_was_planned() -> Outcome {
    let server = TestPostgres::find_or_start()?;
    let mut company = Company::new(&server)?;
    let plan = company.plan()?;
    company.sql("INSERT INTO employee VALUES ('mary', 3900)")?;
    match company.live(plan) {
        Err(Error::RolledBack(rollback)) => {
            let cause = rollback.cause();
            assert!(
                matches!(cause, RollbackCause::EffectsDiffer(_)),
                "{cause:?}"
            );
        }
        other => return Err(format!("not rolled back: {other:?}").into()),
    }
    assert_eq!(company.salaries()?, 4_000 + 4_100 + 3_900);
    Ok(())
}

fn main() -> Outcome {
    a_dry_run_calls_the_simulator_and_predicts_two_updates()?;
    a_live_run_with_the_switch_off_calls_no_collaborator()?;
    a_live_run_gives_both_employees_the_raise()?;
    a_salary_above_the_limit_rolls_the_raise_back()?;
    a_third_employee_is_not_what_was_planned()?;
    println!("5 tests passed");
    Ok(())
}
