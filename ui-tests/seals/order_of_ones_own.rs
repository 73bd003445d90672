//! An order that asks for no receipt.

use phasegate::{After, Mode};

struct Whenever;

impl After for Whenever {
    type Receipts<'r, 'run: 'r, M: Mode> = ();
    type Outputs<'r> = ();
}

fn main() {}
