//! `Perform` is not implemented by hand: it follows from `Simulate` or `Execute`.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Live, Perform};
use pipeline::Draft;

struct Both;

impl Perform<Live, Draft> for Both {}

fn main() {}
