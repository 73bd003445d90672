//! A second connector: to another database than the first.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, RehearsalRunner, connect::PostgresConnector};
use pipeline::Adapter;

fn runs() -> Result<phasegate::runner::RehearsalReport<()>, Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
