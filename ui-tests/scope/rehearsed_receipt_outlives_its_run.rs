//! A receipt of a rehearsal does not leave it: what it proves is rolled back.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Error, RehearsalRunner, Start, connect::PostgresConnector};
use pipeline::{Adapter, Draft};

fn keeps(connector: PostgresConnector) -> Result<(), Error> {
    let rehearsed = RehearsalRunner::new("items")
        .connector(connector)
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            run.phase(Draft::of(&["a"])).perform(on, sg1, Start)
        })?;
    let _ = rehearsed.value;
    Ok(())
}

fn main() {}
