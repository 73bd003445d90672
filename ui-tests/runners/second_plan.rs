//! A second plan, which would replace the approved one.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, InProcessSwitch, LiveRunner, Plan, PostgresConnector, UnsignedApprovals};
use pipeline::Adapter;

fn runs(approved: Plan, other: Plan) -> Result<phasegate::LiveReport<()>, Error> {
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
