//! A generic pipeline requires a performer of every phase that it calls.

use ledger_closing::{Freeze, Post, close};
use phasegate::prelude::*;

fn runs<'run, M: Mode, W: Perform<M, Freeze> + Perform<M, Post>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<(), Error> {
    close(run, on, 2026, &[]).map(drop)
}

fn main() {}
