//! Only a live run has attestations.

use phasegate::prelude::*;

fn attestations_in_any_mode<'run, M: Mode, W>(
    run: &Run<'run, M, W>,
) -> usize {
    run.attestations().count()
}

fn main() {}
