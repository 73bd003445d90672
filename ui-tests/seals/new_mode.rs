//! A fourth mode cannot be added from outside.

use phasegate::Mode;

enum Careful {}

impl Mode for Careful {
    const NAME: &'static str = "careful";
}

fn main() {}
