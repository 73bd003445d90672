//! The review approved another output than the phase has now.

use ledger_closing::{Freeze, Sum};
use phasegate::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Post;

impl PhaseSpec for Post {
    const NAME: &'static str = "post";
    type Gate = Sg1;
    type After = Freeze;
    type Output = u64;
}

phasegate::assert_phase!(Post: gate = Sg1, after = Freeze, output = Sum, name = "post");

fn main() {}
