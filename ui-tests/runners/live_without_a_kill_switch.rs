//! A live run that was not given a kill switch does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector};
use pipeline::Adapter;

fn runs(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
