//! The adapter of a live run performs every phase of the pipeline.

use ledger_closing::{Freeze, close};
use phasegate::prelude::*;

struct FreezesOnly;

impl Execute<Freeze> for FreezesOnly {
    fn execute(&mut self, _: &Freeze, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(0)
    }
}

fn runs<'run>(run: &mut Run<'run, Live, FreezesOnly>, on: &KillSwitchOn<'run>) -> Result<(), Error> {
    close(run, on, 2026, &[]).map(drop)
}

fn main() {}
