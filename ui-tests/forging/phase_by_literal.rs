//! A phase is built with everything that it demands, or not at all.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::marker::PhantomData;

use phasegate::{Live, Phase, Sg1Approved, Start};
use pipeline::Draft;

fn forged<'r, 'run>(
    another: Phase<'r, 'run, Draft, Live>,
    sg1: Sg1Approved<'run>,
) -> Phase<'r, 'run, Draft, Live> {
    Phase {
        input: another.input,
        _on: PhantomData,
        _approved: sg1,
        after: Start,
    }
}

fn main() {}
