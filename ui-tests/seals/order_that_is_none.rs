//! A phase that does not say what it comes after.

use phasegate::{PhaseSpec, Ungated};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Whenever;

impl PhaseSpec for Whenever {
    const NAME: &'static str = "whenever";
    type Gate = Ungated;
    type After = ();
    type Output = ();
}

fn main() {}
