//! No token can be copied.

use phasegate::{KillSwitchOn, Sg1Approved};

fn copied<T: Copy>(one: &T) -> T {
    *one
}

fn forged<'run>(on: &KillSwitchOn<'run>, sg1: &Sg1Approved<'run>) {
    let _ = copied(on);
    let _ = copied(sg1);
}

fn main() {}
