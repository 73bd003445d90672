//! What the review approved. A change of a phase is a change of its line here too.

use phasegate::prelude::*;
use phasegate::{assert_no_witness, assert_not_live, assert_phase};

use crate::{Archive, Freeze, Post, Predict, Sum};

assert_phase!(Freeze: gate = Ungated, after = Start, output = u64, name = "freeze");
assert_phase!(Post: gate = Sg1, after = Freeze, output = Sum, name = "post");
assert_phase!(Archive: gate = And<Sg1, Sg2>, after = (Freeze, Post), output = (), name = "archive");

assert_not_live!(Predict: Freeze, Post, Archive);
assert_no_witness!(Sum, Predict);
