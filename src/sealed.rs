//! Every seal of the crate, in one place.
//!
//! The public traits [`Mode`](crate::Mode), [`Requirement`](crate::Requirement),
//! [`After`](crate::After) and [`Perform`](crate::Perform) each have one of these as a supertrait.
//! This module is private: no other crate can import these traits, and so none can implement the
//! public ones. Their methods and associated types can be reached through a bound on a public trait
//! (`M: Mode`, `W: Perform<M, S>`); the engine, which they take and which opens a phase, cannot be had.
//! What the engine needs of a mode stands here too, out of the auditor's way.

use crate::outcome::{Refusal, Stop};
use crate::perform::Prior;
use crate::phase::PhaseSpec;

/// Only `DryRun`, `Rehearsal` and `Live`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mode of phasegate",
    label = "not `DryRun`, not `Rehearsal`, not `Live`",
    note = "`Mode` is sealed: what a mode may do is decided in this crate, so that an auditor has three modes to read, not N"
)]
pub trait Mode: Sized {
    /// What performing a phase is given beside spec and prior outputs.
    type Scene<'t>;
    /// What a run of this mode holds.
    type Engine<'run>
    where
        Self: 'run;
    /// What a receipt of this mode knows about how it came to be.
    type Evidence: std::fmt::Debug;

    fn approve<'run, G: crate::Gate>(
        engine: &mut Self::Engine<'run>,
    ) -> Result<<Self as crate::Mode>::Approval<'run, G>, Refusal>
    where
        Self: crate::Mode;

    fn perform<S: PhaseSpec, W: Perform<Self, S>>(
        engine: &mut Self::Engine<'_>,
        worker: &mut W,
        spec: &S,
        given: Given<'_, S>,
    ) -> Result<Done<S::Output, Self::Evidence>, Stop>
    where
        Self: crate::Mode;
}

/// What a phase was given by those before it.
#[allow(missing_debug_implementations)]
pub struct Given<'r, S: PhaseSpec> {
    /// The names of the phases whose receipts it holds.
    pub(crate) after: Vec<String>,
    pub(crate) prior: Prior<'r, S>,
}

/// A phase that was performed.
#[derive(Debug)]
pub struct Done<O, E> {
    /// As the engine called it while it performed it: what the spec says afterwards is not asked.
    pub(crate) phase: String,
    pub(crate) output: O,
    /// The output as the journal has it: what later phases are given is read from this.
    pub(crate) bytes: Vec<u8>,
    pub(crate) evidence: E,
}

/// Only gates, `And` of them, and `Ungated`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a phase requires",
    label = "not a gate, not `And<_, _>` of gates, not `Ungated`",
    note = "name the gate: `Sg1`, `Sg2`, or a type of yours with `impl Gate for {Self} {{ const NAME: &'static str = \"..\"; }}`",
    note = "a phase that needs no approval says so in so many letters: `type Gate = Ungated;`"
)]
pub trait Requirement {
    fn add_gates(gates: &mut Vec<&'static str>);
}

/// Only gates, and `And` of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that can be approved",
    label = "not a gate, not `And<_, _>` of gates"
)]
pub trait Approvable {}

/// Only `Start`, a phase, a list of phases of one type, an optional phase, or a tuple of phases.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a phase comes after",
    label = "not `Start`, not a `PhaseSpec`, not `Vec<_>`, `Option<_>` or a tuple of them",
    note = "the first phase says `type After = Start;`, the others name the phase or phases before them: `type After = CutLegA;`, `type After = (Load, Check);`, `type After = Vec<Batch>;`"
)]
pub trait After {
    /// The outputs of the phases before, read from their bytes.
    type Decoded;

    /// Reads the outputs: a change that the pipeline, or an adapter, made to a value that it was shown stays there.
    fn decode<'r, 'run: 'r, M: crate::Mode>(
        receipts: <Self as crate::After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, Refusal>
    where
        Self: crate::After;

    fn lend(decoded: &Self::Decoded) -> <Self as crate::After>::Outputs<'_>
    where
        Self: crate::After;

    fn names<'r, 'run: 'r, M: crate::Mode>(
        receipts: <Self as crate::After>::Receipts<'r, 'run, M>,
    ) -> Vec<String>
    where
        Self: crate::After;
}

/// Only what is `Simulate` in `DryRun`, and `Execute` in `Rehearsal` and `Live`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not perform phase `{S}` in mode `{M}`",
    label = "`{Self}` has neither role for `{S}`",
    note = "in `DryRun` a phase is performed by a simulator: `impl Simulate<{S}> for {Self}`",
    note = "in `Live` and in `Rehearsal` a phase is performed by a live adapter: `impl Execute<{S}> for {Self}`"
)]
pub trait Perform<M: Mode, S: PhaseSpec> {
    fn perform(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        scene: &mut M::Scene<'_>,
    ) -> Result<S::Output, crate::Failure>;
}

/// Only what [`Phase::erase`](crate::Phase::erase) made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an erased phase",
    label = "not made by `Phase::erase`",
    note = "build the phase with everything that it demands, then erase it: `Phase::new(spec, on, approved, after).erase()`"
)]
pub trait ErasedPhase {}

/// Only the places where a part of a run is missing.
#[diagnostic::on_unimplemented(
    message = "this run was given its part `{Self}` already",
    label = "remove one of the two calls: the second would silently replace the first",
    note = "a run is given each of its parts once; several kill switches go in as one: `.kill_switch((one, other))`"
)]
pub trait NotGiven {}

/// Only `Plan`, and not the place where one is missing.
#[diagnostic::on_unimplemented(
    message = "this live run has no plan",
    label = "give it one before `run`: `.plan(plan)`",
    note = "a plan comes from a dry run, or from `Plan::from_saved(bytes, approved_digest)`"
)]
pub trait SuppliedPlan {
    fn into_plan(self) -> crate::Plan;
}

/// Only what was given to `.adapter(..)`.
#[diagnostic::on_unimplemented(
    message = "this run has no adapter",
    label = "give it one before `run`: `.adapter(adapter)`",
    note = "a live adapter implements `Execute<S>` for every phase `S` of the pipeline"
)]
pub trait SuppliedAdapter {
    type Adapter;
    fn into_adapter(self) -> Self::Adapter;
}

/// Only what was given to `.simulator(..)`.
#[diagnostic::on_unimplemented(
    message = "this dry run has no simulator",
    label = "give it one before `run`: `.simulator(simulator)`",
    note = "a simulator implements `Simulate<S>` for every phase `S` of the pipeline"
)]
pub trait SuppliedSimulator {
    type Simulator;
    fn into_simulator(self) -> Self::Simulator;
}

/// Only `Target`.
#[diagnostic::on_unimplemented(
    message = "this dry run does not say which database its plan is for",
    label = "say it before `run`: `.target(target)`",
    note = "`Target::identify(&mut client)` reads it from the server; a live run is refused on any other"
)]
pub trait SuppliedTarget {
    fn into_target(self) -> crate::Target;
}
