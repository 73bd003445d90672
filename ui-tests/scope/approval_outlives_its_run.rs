//! An approval does not leave its run.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Sg1, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn keeps(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|run, _| run.approval::<Sg1>())?;
    Ok(())
}

fn main() {}
