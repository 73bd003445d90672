//! A live run that was not given an authority does not compile.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, LiveRunner, Plan, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::Adapter;

fn runs(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
