//! A second adapter: each phase would be performed by that one, not half of them.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, RehearsalRunner, connect::PostgresConnector};
use pipeline::Adapter;

fn runs() -> Result<phasegate::runner::RehearsalReport<()>, Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
