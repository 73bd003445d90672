//! The three ways in which a phase can be performed, as types.
//!
//! A boolean called `dry_run` can be forgotten, inverted, or read in one branch and not in the
//! next. Here the mode is part of the type of everything that a run touches: the phase, its
//! approval, its receipts, and the run itself. Code generic over [`Mode`] is written once and runs
//! in all of them; it cannot observe which one it is in.

use std::time::Duration;

use crate::database::PhaseTx;
use crate::engine::{
    Done, DryEngine, Execution, Job, LiveEngine, RehearsalEngine, RehearsedPhase, Simulation,
};
use crate::outcome::{Committed, InDoubt, PhaseError, Refusal};
use crate::plan::Effects;

/// The mode in which nothing is touched: phases are performed by a simulator, which is never given
/// a connection, and the run leaves a [`Plan`](crate::Plan).
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum DryRun {}

/// The mode in which the real work is done and none of it kept: each phase is performed by the live
/// adapter, in a real transaction, which is always rolled back.
///
/// Its effects are measured, not predicted; see [`RehearsalRunner`](crate::RehearsalRunner).
/// It takes real locks, moves real sequences, and runs whatever the adapter runs: it is not a
/// [`DryRun`]. A receipt of it opens nothing live.
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum Rehearsal {}

/// The mode in which data changes: each phase is one transaction, performed by a live adapter.
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum Live {}

/// A mode: [`DryRun`], [`Rehearsal`] or [`Live`]. Sealed: no other crate can add one.
///
/// | | `DryRun` | `Rehearsal` | `Live` |
/// |---|---|---|---|
/// | [`Switch<'run, M>`](crate::Switch) | proves nothing | proves nothing | the kill switch was ON |
/// | [`Approval<'run, G, M>`](crate::Approval) | proves nothing | proves nothing | `G` was approved |
/// | performed by | [`Simulate`](crate::Simulate) | [`Execute`](crate::Execute) | [`Execute`](crate::Execute) |
/// | the database | is not asked | rolls everything back | commits each phase |
/// | what it leaves | a plan, with effects predicted | a plan, with effects measured | the data, changed |
///
/// A rehearsal needs no approval, because an approval is informed by it.
///
/// ```compile_fail,E0277
/// enum ReallyDry {}
/// impl phasegate::Mode for ReallyDry {} // sealed
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mode of phasegate",
    label = "not `DryRun`, not `Rehearsal`, not `Live`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-a-mode"
)]
pub trait Mode: sealed::Mode + Sized + 'static {
    /// `"dry run"`, `"rehearsal"` or `"live"`, for people.
    const NAME: &'static str;
}

impl Mode for DryRun {
    const NAME: &'static str = DryEngine::MODE;
}

impl Mode for Rehearsal {
    const NAME: &'static str = RehearsalEngine::MODE;
}

impl Mode for Live {
    const NAME: &'static str = LiveEngine::MODE;
}

impl sealed::Mode for DryRun {
    type Context<'t> = Effects;
    type Engine<'run> = DryEngine<'run>;
    type Evidence = ();

    fn approve(_: &mut DryEngine<'_>, _: &'static str) -> Result<(), Refusal> {
        Ok(())
    }

    fn input(engine: &mut DryEngine<'_>, phase: &str) -> Option<Vec<u8>> {
        engine.input(|name| is_instance(name, phase))
    }

    fn perform(
        engine: &mut DryEngine<'_>,
        job: &mut Job<'_>,
        perform: &mut Simulation<'_>,
    ) -> Result<Done<()>, PhaseError> {
        engine.perform(job, perform)
    }
}

impl sealed::Mode for Rehearsal {
    type Context<'t> = PhaseTx<'t>;
    type Engine<'run> = RehearsalEngine<'run>;
    type Evidence = RehearsedPhase;

    fn approve(_: &mut RehearsalEngine<'_>, _: &'static str) -> Result<(), Refusal> {
        Ok(())
    }

    fn perform(
        engine: &mut RehearsalEngine<'_>,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<RehearsedPhase>, PhaseError> {
        engine.perform(job, perform)
    }
}

impl sealed::Mode for Live {
    type Context<'t> = PhaseTx<'t>;
    type Engine<'run> = LiveEngine<'run>;
    type Evidence = Committed;

    fn approve(engine: &mut LiveEngine<'_>, gate: &'static str) -> Result<(), Refusal> {
        engine.approve(gate)
    }

    fn input(engine: &mut LiveEngine<'_>, phase: &str) -> Option<Vec<u8>> {
        engine.input(|name| is_instance(name, phase))
    }

    fn perform(
        engine: &mut LiveEngine<'_>,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<Committed>, PhaseError> {
        engine.perform(job, perform)
    }

    fn resolve(
        engine: &mut LiveEngine<'_>,
        doubt: InDoubt,
        patience: Duration,
    ) -> Result<Done<Committed>, PhaseError> {
        engine.resolve(doubt, patience)
    }
}

/// Returns whether a phase of this full name is one of the name `phase`.
fn is_instance(name: &str, phase: &str) -> bool {
    let instance = name.strip_prefix(phase);
    instance.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// What a run of each mode asks its engine. Private, so that no other crate can add a mode or reach an engine.
pub(in crate::typed) mod sealed {
    use std::fmt::Debug;
    use std::time::Duration;

    use crate::engine::{Done, Job, NotPerformed};
    use crate::outcome::{InDoubt, PhaseError, Refusal};

    /// Only `DryRun`, `Rehearsal` and `Live`.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a mode of phasegate",
        label = "not `DryRun`, not `Rehearsal`, not `Live`",
        note = "`Mode` is sealed: what a mode may do is decided in this crate, so that an auditor has three modes to read, not N",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-a-mode"
    )]
    pub trait Mode: Sized + 'static {
        /// What a performer is given beside the spec and the prior outputs.
        type Context<'t>;
        /// What a run of this mode holds.
        type Engine<'run>;
        /// What a receipt of this mode knows about how it came to be.
        type Evidence: Debug;

        /// Asks for the approval of `gate`, for the next phase behind it.
        fn approve(engine: &mut Self::Engine<'_>, gate: &'static str) -> Result<(), Refusal>;

        /// Returns the approved input of the next phase of this name, if the run was given it. A rehearsal has none.
        fn input(engine: &mut Self::Engine<'_>, phase: &str) -> Option<Vec<u8>> {
            let _ = (engine, phase);
            None
        }

        /// Performs `job`: `perform` is given the bytes of the input, and returns those of the output.
        #[allow(clippy::type_complexity)] // `Simulation` or `Execution`, which only the mode knows
        fn perform(
            engine: &mut Self::Engine<'_>,
            job: &mut Job<'_>,
            perform: &mut dyn FnMut(&[u8], &mut Self::Context<'_>) -> Result<Vec<u8>, NotPerformed>,
        ) -> Result<Done<Self::Evidence>, PhaseError>;

        /// Finds out whether a phase of this run was committed. Only a live phase can be in doubt.
        fn resolve(
            engine: &mut Self::Engine<'_>,
            doubt: InDoubt,
            patience: Duration,
        ) -> Result<Done<Self::Evidence>, PhaseError> {
            let _ = (engine, patience);
            Err(doubt.into())
        }
    }
}
