//! A second token out of the brand of the first: nobody writes the switch token by hand.

use phasegate::KillSwitchOn;

fn forged<'run>(lent: &KillSwitchOn<'run>) -> KillSwitchOn<'run> {
    KillSwitchOn { _brand: lent._brand }
}

fn main() {}
