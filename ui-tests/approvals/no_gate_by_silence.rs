//! That a phase needs no approval is written out: `()` does not say it.

use phasegate::{PhaseSpec, Start};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Sweep;

impl PhaseSpec for Sweep {
    const NAME: &'static str = "sweep";
    type Gate = ();
    type After = Start;
    type Output = ();
}

fn main() {}
