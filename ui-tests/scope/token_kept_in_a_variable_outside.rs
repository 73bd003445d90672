//! What is lent to the pipeline cannot be stored around it.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, KillSwitchOn, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn keeps(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    let mut kept: Option<&KillSwitchOn<'_>> = None;
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, on| {
            kept = Some(on);
            Ok(())
        })
}

fn main() {}
