//! Only a live phase is committed.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn what_was_committed_in_any_mode<'run, M: Mode>(
    drafted: &Receipt<'run, Draft, M>,
) -> String {
    drafted.committed().xid().to_owned()
}

fn main() {}
