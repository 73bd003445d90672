//! A rehearsal that was not given an adapter does not compile.

use phasegate::{Error, RehearsalRunner, connect::PostgresConnector};

fn runs() -> Result<(), Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn main() {}
