//! What the source of a pipeline needs: `use phasegate::prelude::*;`.
//!
//! It has the modes, the parts of a phase, the tokens, the two traits of those that perform phases, and the three runners;
//! not what operators, approvers and auditors use, which the modules have.

pub use crate::{
    And, Approval, Attempt, DryRun, DryRunner, Effects, Error, Execute, Failure, Gate, Invalid,
    KillSwitchOn, Live, LiveRunner, Mode, Perform, Phase, PhaseSpec, PhaseTx, Plan, Prior, Receipt,
    Rehearsal, RehearsalRunner, Run, Sg1, Sg1Approved, Sg2, Sg2Approved, Simulate, Start, Switch,
    Target, Ungated,
};
