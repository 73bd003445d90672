//! Nobody writes the switch token by hand.

use phasegate::KillSwitchOn;

fn forged<'run>() -> KillSwitchOn<'run> {
    KillSwitchOn {
        _brand: std::marker::PhantomData,
    }
}

fn main() {}
