//! A dry run takes no connector, and so holds neither a connection nor a password.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRunner, Error, Target, connect::PostgresConnector};
use pipeline::Simulator;

fn runs(target: Target) -> Result<(), Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn main() {}
