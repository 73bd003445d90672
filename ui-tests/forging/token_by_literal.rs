//! A second token out of the brand of the first: the switch token cannot be written by hand.

use phasegate::KillSwitchOn;

fn forged<'run>(lent: &KillSwitchOn<'run>) -> KillSwitchOn<'run> {
    KillSwitchOn { _brand: lent._brand }
}

fn main() {}
