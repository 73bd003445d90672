//! A live run that was not given a connector does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, Plan, approval::UnsignedApprovals, switch::InProcessSwitch};
use pipeline::Adapter;

fn runs(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
