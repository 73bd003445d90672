//! A closure returns the output of its phase.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Draft};

fn closure_with_another_output() {
    let _ = phasegate::adapter_fn(|_: &Draft, (), _: &mut PhaseTx<'_>| Ok("one row"));
}

fn main() {}
