//! What the review of the five phases approved. A change of a phase is a change of its line here too.

use phasegate::prelude::*;
use phasegate::{assert_no_witness, assert_not_live, assert_phase};

use crate::phases::{
    CutLegA, CutLegB, Digests, Document, EnactVerify, Enacted, LifecycleEnact, WriteVerify,
};
use crate::simulator::Simulator;

assert_phase!(CutLegA: gate = Sg1, after = Start, output = Digests, name = "cut_leg_a");
assert_phase!(WriteVerify: gate = Ungated, after = CutLegA, output = u64, name = "write_verify");
assert_phase!(CutLegB: gate = Sg1, after = WriteVerify, output = u64, name = "cut_leg_b");
assert_phase!(LifecycleEnact: gate = Sg2, after = CutLegB, output = Enacted, name = "lifecycle_enact");
assert_phase!(EnactVerify: gate = Ungated, after = LifecycleEnact, output = u64, name = "enact_verify");

assert_not_live!(Simulator: CutLegA, WriteVerify, CutLegB, LifecycleEnact, EnactVerify);
assert_no_witness!(Document, Enacted);
