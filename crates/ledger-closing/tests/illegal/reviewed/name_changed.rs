//! The review approved another name than the phase has now.

use ledger_closing::{Freeze, Sum};
use phasegate::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Post;

impl PhaseSpec for Post {
    const NAME: &'static str = "posting";
    type Gate = Sg1;
    type After = Freeze;
    type Output = Sum;
}

phasegate::assert_phase!(Post: gate = Sg1, after = Freeze, output = Sum, name = "post");

fn main() {}
