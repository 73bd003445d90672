//! No token has a default.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Receipt, Sg1Approved};
use pipeline::Draft;

fn from_nothing<T: Default>() -> T {
    T::default()
}

fn forged<'run>() {
    let _: KillSwitchOn<'run> = from_nothing();
    let _: Sg1Approved<'run> = from_nothing();
    let _: Receipt<'run, Draft, Live> = from_nothing();
}

fn main() {}
