//! An approval of `SG_2` does not open `SG_1`.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Phase, Sg2Approved, Start};
use pipeline::Draft;

fn wrong_gate<'run>(on: &KillSwitchOn<'run>, sg2: Sg2Approved<'run>) {
    let _ = Phase::live(Draft::of(&["a"]), on, sg2, Start);
}

fn main() {}
