//! A receipt does not leave its run; the output does.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, Start, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::{Adapter, Draft};

fn keeps(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            run.phase(Draft::of(&["a"])).perform(on, sg1, Start)
        })?;
    Ok(())
}

fn main() {}
