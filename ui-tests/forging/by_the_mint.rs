//! The functions that make proofs are the engine's alone.

use phasegate::{Attestation, KillSwitchOn, Sg1Approved};

fn forged<'run>(attestation: Attestation) {
    let _: KillSwitchOn<'run> = KillSwitchOn::mint(unreachable!());
    let _: Sg1Approved<'run> = Sg1Approved::mint(attestation, unreachable!());
}

fn main() {}
