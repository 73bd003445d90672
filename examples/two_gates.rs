//! Two phases behind two gates: `cargo run --example two_gates`.
//!
//! The first phase is approved and committed, the second is not approved and refused. After its
//! approval the same plan is run again, and only the second phase is performed.
//!
//! The approvals are unsigned, which is for demonstrations: `custom_gate.rs` has signed ones.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use phasegate::prelude::*;
use phasegate::testing::TestPostgres;
use phasegate::{
    approval::{AdmittedApprovals, UnsignedApprovals},
    connect::PostgresConnector,
    switch::LeaseSwitch,
};
use postgres::{Config, NoTls};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_hours(1);

/// Writes new prices beside those in force.
#[derive(Serialize, Deserialize)]
struct DraftPrices {
    prices: Vec<(String, i64)>,
}

impl PhaseSpec for DraftPrices {
    const NAME: &'static str = "draft_prices";
    type Gate = Sg1;
    type After = Start;
    type Output = u64; // how many prices were drafted
}

/// Puts the drafted prices into force.
#[derive(Serialize, Deserialize)]
struct PublishPrices;

impl PhaseSpec for PublishPrices {
    const NAME: &'static str = "publish_prices";
    type Gate = Sg2;
    type After = DraftPrices; // it takes a receipt of that phase, and is given its output
    type Output = u64;
}

/// Predicts what both phases do.
struct Simulator;

impl Simulate<DraftPrices> for Simulator {
    fn simulate(
        &mut self,
        draft: &DraftPrices,
        (): (),
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        let drafted = draft.prices.len() as u64;
        effects.insert("public.price", drafted);
        Ok(drafted)
    }
}

impl Simulate<PublishPrices> for Simulator {
    fn simulate(
        &mut self,
        _: &PublishPrices,
        drafted: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects.update("public.price", *drafted);
        Ok(*drafted)
    }
}

/// Performs both phases live.
struct Adapter;

impl Execute<DraftPrices> for Adapter {
    fn execute(
        &mut self,
        draft: &DraftPrices,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let insert = tx.prepare("INSERT INTO price (article, cents) VALUES ($1, $2)")?;
        let drafted = tx.for_each_row(
            &draft.prices,
            |(article, _)| article.clone(), // a failure names the row by it
            |tx, (article, cents)| Ok(tx.execute(&insert, &[article, cents])?),
        )?;
        Ok(drafted.len() as u64)
    }
}

impl Execute<PublishPrices> for Adapter {
    fn execute(
        &mut self,
        _: &PublishPrices,
        drafted: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let published = tx.execute("UPDATE price SET in_force = true WHERE NOT in_force", &[])?;
        if published == *drafted {
            Ok(published)
        } else {
            let message = format!("{drafted} prices were drafted, {published} would be published");
            Err(Failure::new(message))
        }
    }
}

/// The pipeline: an approval for each phase, and the first receipt for the second phase.
fn pipeline<'run, M: Mode, W>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>) -> Result<u64, Error>
where
    W: Perform<M, DraftPrices> + Perform<M, PublishPrices>,
{
    let prices = [("bread", 450), ("milk", 129), ("salt", 80)];
    let prices = prices.map(|(article, cents)| (article.to_owned(), cents));
    let draft = DraftPrices {
        prices: prices.into(),
    };

    let sg1 = run.approval::<Sg1>()?;
    let drafted = run.phase(draft).perform(on, sg1, Start)?;

    let sg2 = run.approval::<Sg2>()?;
    let published = run.phase(PublishPrices).perform(on, sg2, &drafted)?;
    Ok(published.into_output())
}

/// A live run of the plan. Its approvals are those that an operator has admitted.
fn live(plan: &Plan, runner: &Config) -> Result<phasegate::runner::LiveReport<u64>, Error> {
    let connector = || PostgresConnector::no_tls(runner.clone());
    LiveRunner::new("prices")
        .plan(plan.clone())
        .kill_switch(LeaseSwitch::new(connector()))
        .authority(AdmittedApprovals::through(connector()))
        .connector(connector())
        .adapter(Adapter)
        .run(pipeline)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestPostgres::find_or_start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("pricing")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE price (article text, cents bigint CHECK (cents > 0), in_force boolean DEFAULT false);
         SELECT phasegate.protect('price');
         GRANT SELECT, INSERT, UPDATE ON price TO {}",
        runner.name()
    ))?;

    let plan = DryRunner::new("prices")
        .target(Target::identify(&mut runner.config().connect(NoTls)?)?)
        .simulator(Simulator)
        .run(pipeline)?
        .plan;
    println!("{plan}");
    println!("{}", operator.admit_plan(&plan)?);

    println!("\nSG_1 is approved, SG_2 is not:");
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(&plan, "ada", "the drafts may be written", HOUR);
    operator.admit_approval(&approvals.attestations()[0])?;
    match live(&plan, &runner.config()) {
        Err(Error::Refused(refusal)) => {
            println!("  refused: {refusal}");
            if let Some(hint) = refusal.hint() {
                println!("  hint: {hint}");
            }
        }
        other => return Err(format!("SG_2 was not approved: {other:?}").into()),
    }
    let count = "SELECT count(*), count(*) FILTER (WHERE in_force) FROM price";
    let row = admin.query_one(count, &[])?;
    let (prices, in_force): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    println!("  prices: {prices}, in force: {in_force}");
    assert_eq!((prices, in_force), (3, 0), "the first phase is committed");

    println!("\nSG_2 is approved too, and the same plan is run again:");
    approvals.approve::<Sg2>(&plan, "grace", "the prices may come into force", HOUR);
    operator.admit_approval(&approvals.attestations()[1])?;
    let ran = live(&plan, &runner.config())?;
    println!("  {ran}");
    assert_eq!((ran.performed, ran.committed_before), (1, 1));
    assert_eq!(ran.value, 3, "all prices are in force");
    Ok(())
}
