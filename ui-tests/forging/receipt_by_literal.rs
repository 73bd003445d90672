//! A receipt of one phase out of the brand of another's: a receipt cannot be written by hand.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Receipt};
use pipeline::{Check, Draft};

fn forged<'run>(other: Receipt<'run, Check, DryRun>) -> Receipt<'run, Draft, DryRun> {
    Receipt {
        phase: String::new(),
        output: 1,
        bytes: Vec::new(),
        evidence: (),
        _brand: other._brand,
    }
}

fn main() {}
