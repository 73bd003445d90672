//! One phase, from the dry run to the commit: `cargo run --example one_phase`.
//!
//! It works in a private PostgreSQL, which is started for it and removed afterwards.
#![allow(clippy::print_stdout)]

use phasegate::prelude::*;
use phasegate::testing::TestPostgres;
use phasegate::{
    adapter_fn, approval::UnsignedApprovals, connect::PostgresConnector, simulator_fn,
    switch::LeaseSwitch,
};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

/// The input of the phase. Its JSON is what the plan binds.
#[derive(Serialize, Deserialize)]
struct CloseAccounts {
    below: i64,
}

impl PhaseSpec for CloseAccounts {
    const NAME: &'static str = "close_accounts";
    type Gate = Ungated; // no approval is needed: see `two_gates.rs`
    type After = Start; // no phase comes before it
    type Output = u64;
}

/// The pipeline is a function, written once for dry and live runs.
fn pipeline<'run, M: Mode, W: Perform<M, CloseAccounts>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<u64, Error> {
    let spec = CloseAccounts { below: 100 };
    Ok(run.phase(spec).perform(on, Ungated, Start)?.into_output())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestPostgres::find_or_start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?; // the schema `phasegate`; its kill switch is ON
    let runner = database.create_runner("closer")?; // the role that performs phases
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint, closed boolean DEFAULT false);
         INSERT INTO account SELECT n, n * 10 FROM generate_series(1, 50) AS n;
         SELECT phasegate.protect('account');
         GRANT SELECT, UPDATE ON account TO {}",
        runner.name()
    ))?;

    // The simulator predicts the effects of the phase. It has no transaction.
    let simulator = simulator_fn(|_: &CloseAccounts, (), effects: &mut Effects| {
        effects.update("public.account", 9);
        Ok(9)
    });
    let target = Target::identify(&mut runner.config().connect(NoTls)?)?;
    let dry = DryRunner::new("closing").target(target);
    let plan = dry.simulator(simulator).run(pipeline)?.plan;
    println!("{plan}");

    // An operator admits the plan; the role that performs phases cannot.
    println!("{}", operator.admit_plan(&plan)?);

    // The adapter performs the phase, in one transaction whose end it does not see. With another
    // number of rows than the plan has, the database refuses the commit.
    let adapter = adapter_fn(|spec: &CloseAccounts, (), tx: &mut PhaseTx<'_>| {
        let close = "UPDATE account SET closed = true WHERE balance < $1";
        Ok(tx.execute(close, &[&spec.below])?)
    });
    let ran = LiveRunner::new("closing")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(PostgresConnector::no_tls(runner.config())))
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(adapter)
        .run(pipeline)?;
    println!("{ran}; accounts closed: {}", ran.value);
    Ok(())
}
