//! A run stays in its thread; the runner may go to another.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{DryRun, Run};
use pipeline::Simulator;

fn crosses<T: Send>(_: T) {}

fn sends(run: &mut Run<'_, DryRun, Simulator>) {
    crosses(run);
}

fn main() {}
