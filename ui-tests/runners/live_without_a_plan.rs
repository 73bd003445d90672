//! A live run that was not given a plan does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn runs() -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
