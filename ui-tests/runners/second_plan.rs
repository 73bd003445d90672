//! A second plan, which would replace the approved one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn runs(approved: Plan, other: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(approved)
        .plan(other)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
