//! A live run that was not given a connector does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, InProcessSwitch, LiveRunner, Plan, UnsignedApprovals};
use pipeline::Adapter;

fn runs(plan: Plan) -> Result<phasegate::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
