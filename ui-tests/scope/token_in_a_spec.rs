//! A spec is plain data: it cannot carry a token into the adapter.

use phasegate::{PhaseSpec, Sg1Approved, Start, Ungated};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Carrier<'run> {
    #[serde(skip)]
    approval: Option<Sg1Approved<'run>>,
}

impl<'run> PhaseSpec for Carrier<'run> {
    const NAME: &'static str = "carrier";
    type Gate = Ungated;
    type After = Start;
    type Output = ();
}

fn main() {}
