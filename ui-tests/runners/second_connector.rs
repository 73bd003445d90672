//! A second connector: to another database than the first.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, PostgresConnector, RehearsalRunner};
use pipeline::Adapter;

fn runs() -> Result<phasegate::RehearsalReport<()>, Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn main() {}
