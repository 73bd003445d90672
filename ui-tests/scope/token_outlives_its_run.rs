//! The switch token does not leave the run that it was lent to.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn keeps(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, on| Ok(on))?;
    Ok(())
}

fn main() {}
