//! Only the engine can call the functions that make tokens.

use phasegate::{KillSwitchOn, Sg1Approved};

fn forged<'run>() {
    let _: KillSwitchOn<'run> = KillSwitchOn::mint(unreachable!());
    let _: Sg1Approved<'run> = Sg1Approved::mint(unreachable!());
}

fn main() {}
