//! Nobody writes a receipt by hand.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Receipt};
use pipeline::Draft;

fn forged<'run>() -> Receipt<'run, Draft, DryRun> {
    Receipt {
        phase: String::new(),
        output: 1,
        evidence: (),
        _brand: std::marker::PhantomData,
    }
}

fn main() {}
