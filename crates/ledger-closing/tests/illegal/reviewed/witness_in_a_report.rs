//! A report that outlives its run is asserted to hold no witness, and has been given one.

use ledger_closing::Freeze;
use phasegate::prelude::*;

struct Report<'run> {
    frozen: Receipt<'run, Freeze, Live>,
}

phasegate::assert_no_witness!(Report<'static>);

fn main() {}
