//! A phase is built with everything that it demands, or not at all.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Phase, Sg1Approved, Start};
use pipeline::Draft;

fn forged<'r, 'run>(
    on: &'r KillSwitchOn<'run>,
    sg1: Sg1Approved<'run>,
) -> Phase<'r, 'run, Draft, Live> {
    Phase {
        spec: Draft::of(&["a"]),
        _on: on,
        approved: sg1,
        after: Start,
    }
}

fn main() {}
