//! A phase is built with everything that it demands, or not at all.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::marker::PhantomData;

use phasegate::{KillSwitchOn, Live, Phase, Sg1Approved, Start};
use pipeline::Draft;

fn forged<'r, 'run>(
    _: &'r KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Phase<'r, 'run, Draft, Live> {
    Phase {
        input: any(),
        _on: PhantomData,
        _approved: sg1,
        after: Start,
    }
}

fn any<T>() -> T {
    unimplemented!()
}

fn main() {}
