//! A backfill of ten thousand rows, sent in batches: `cargo run --example backfill`.
//!
//! One row breaks a constraint. The phase is rolled back, and the error names the row, though
//! thousands of rows travel in one message. With that row corrected, another plan is committed.
#![allow(clippy::print_stdout)]

use phasegate::prelude::*;
use phasegate::testing::TestPostgres;
use phasegate::{
    approval::UnsignedApprovals, connect::PostgresConnector, operator::Operator,
    switch::LeaseSwitch,
};
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

/// A customer, and the phone number in the form that the new column takes.
#[derive(Clone, Serialize, Deserialize)]
struct Customer {
    id: i64,
    phone: String,
}

/// Fills the new column `e164`.
#[derive(Serialize, Deserialize)]
struct FillNumbers {
    customers: Vec<Customer>,
}

impl PhaseSpec for FillNumbers {
    const NAME: &'static str = "fill_numbers";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;

    fn summary(&self) -> String {
        format!("fills the numbers of {} customers", self.customers.len())
    }
}

/// Predicts one update for each customer.
struct Simulator;

impl Simulate<FillNumbers> for Simulator {
    fn simulate(
        &mut self,
        spec: &FillNumbers,
        (): (),
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        let customers = spec.customers.len() as u64;
        effects.update("public.customer", customers);
        Ok(customers)
    }
}

/// Performs the updates, many of them in each message.
struct Adapter;

impl Execute<FillNumbers> for Adapter {
    fn execute(
        &mut self,
        spec: &FillNumbers,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let updates = tx
            .batch(&spec.customers)
            .key(|customer| format!("customer {}", customer.id)) // names the row in a failure
            .execute(
                "UPDATE customer SET e164 = $2 WHERE id = $1",
                |customer, params| params.with(&customer.id).with(&customer.phone),
                |_, changed| match changed {
                    1 => Ok(()),
                    _ => Err(Failure::new("there is no such customer")),
                },
            )?;
        Ok(updates.len() as u64)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, FillNumbers>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    customers: &[Customer],
) -> Result<u64, Error> {
    let customers = customers.to_vec();
    let filled = run
        .phase(FillNumbers { customers })
        .perform(on, Ungated, Start)?;
    Ok(filled.into_output())
}

/// Plans the backfill of these customers, has the plan admitted, and performs it.
fn backfill(
    customers: &[Customer],
    runner: &Config,
    operator: &mut Operator,
) -> Result<phasegate::runner::LiveReport<u64>, Box<dyn std::error::Error>> {
    let plan = DryRunner::new("backfill")
        .target(Target::identify(&mut runner.connect(NoTls)?)?)
        .simulator(Simulator)
        .run(|run, on| pipeline(run, on, customers))?
        .plan;
    let _ = operator.admit_plan(&plan)?;
    let ran = LiveRunner::new("backfill")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(PostgresConnector::no_tls(runner.clone())))
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(runner.clone()))
        .adapter(Adapter)
        .run(|run, on| pipeline(run, on, customers))?;
    Ok(ran)
}

fn filled(admin: &mut Client) -> Result<i64, postgres::Error> {
    let count = "SELECT count(*) FROM customer WHERE e164 IS NOT NULL";
    admin.query_one(count, &[])?.try_get(0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestPostgres::find_or_start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("backfill")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE customer (id bigint PRIMARY KEY, e164 text CHECK (e164 ~ '^[+][0-9]{{8,15}}$'));
         INSERT INTO customer SELECT n FROM generate_series(1, 10000) AS n;
         SELECT phasegate.protect('customer');
         GRANT SELECT, UPDATE ON customer TO {}",
        runner.name()
    ))?;

    let mut customers: Vec<Customer> = (1..=10_000)
        .map(|id| Customer {
            id,
            phone: format!("+49{:09}", id * 7),
        })
        .collect();
    "unknown".clone_into(&mut customers[7_122].phone);

    println!("One of 10,000 rows breaks the constraint:");
    let error = match backfill(&customers, &runner.config(), &mut operator) {
        Err(error) => error,
        Ok(ran) => return Err(format!("it was committed: {ran}").into()),
    };
    println!("  {error}");
    let row = error.downcast_ref::<Error>().and_then(Error::row);
    assert_eq!(row.map(phasegate::error::InputRow::ordinal), Some(7_123));
    assert_eq!(
        row.map(phasegate::error::InputRow::key),
        Some("customer 7123")
    );
    assert_eq!(filled(&mut admin)?, 0, "nothing is left of the others");

    println!("\nWith that row corrected, which is another input and so another plan:");
    "+49301234567".clone_into(&mut customers[7_122].phone);
    let ran = backfill(&customers, &runner.config(), &mut operator)?;
    println!("  {ran}; customers filled: {}", ran.value);
    assert_eq!(filled(&mut admin)?, 10_000);
    Ok(())
}
