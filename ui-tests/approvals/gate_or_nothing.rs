//! What needs no approval cannot be one of two that are needed.

use phasegate::{And, PhaseSpec, Sg1, Start, Ungated};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sweep;

impl PhaseSpec for Sweep {
    const NAME: &'static str = "sweep";
    type Gate = And<Sg1, Ungated>;
    type After = Start;
    type Output = ();
}

fn main() {}
