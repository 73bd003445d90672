//! An output is plain data: it cannot carry a token out of the adapter.

use phasegate::{KillSwitchOn, PhaseSpec, Start, Ungated};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Carrier;

impl PhaseSpec for Carrier {
    const NAME: &'static str = "carrier";
    type Gate = Ungated;
    type After = Start;
    type Output = KillSwitchOn<'static>;
}

fn main() {}
