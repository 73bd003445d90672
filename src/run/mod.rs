//! Runs: the scope in which phases are performed, and the three runners that open it.

mod attempt;
mod brand;
mod closing;
mod decoded;
mod dry;
mod live;
mod live_engine;
mod live_phase;
mod opening;
mod ran;
mod rehearsal;
mod rehearsal_engine;
mod rehearsed;
mod stop;
mod timeouts;
mod watch;

use std::fmt;
use std::time::Duration;

pub use attempt::{Attempt, Unsettled};
pub(crate) use brand::Brand;
pub use dry::{DryRunner, NoSimulator, NoTarget, Planned, WithSimulator};
pub use live::{
    LiveRunner, NoAdapter, NoAuthority, NoConnector, NoKillSwitch, NoPlan, WithAdapter,
};
pub use ran::Ran;
pub use rehearsal::RehearsalRunner;
pub use rehearsed::{FailedRehearsal, Rehearsed, RehearsedPhase};
pub use stop::StopHandle;
pub use timeouts::Timeouts;

use crate::approval::Attestation;
use crate::gate::Gate;
use crate::mode::{Live, Mode};
use crate::outcome::{Error, Stop};
use crate::perform::Perform;
use crate::phase::{Phase, PhaseSpec, Receipt, Receipts, Witness};
use crate::sealed::{self, Given};

/// One performance of a pipeline, in mode `M`, by `W`.
///
/// Lent to the pipeline by [`DryRunner::run`], [`RehearsalRunner::run`] or [`LiveRunner::run`]. Its lifetime `'run` is fresh
/// and invariant, as in [`std::thread::scope`]: approvals, receipts and the switch token of one run
/// cannot be typed into another, and none of them can leave it. (A dry run and a rehearsal give
/// [`Unapproved`](crate::Unapproved) where an approval would be: it proves nothing, and may leave.)
///
/// The compiler says of a mix-up "borrowed data escapes outside of closure" (E0521), or "lifetime
/// may not live long enough". Read it as: *this token belongs to another run*.
pub struct Run<'run, M: Mode, W> {
    engine: <M as sealed::Mode>::Engine<'run>,
    worker: W,
    brand: Brand<'run>,
}

impl<'run, M: Mode, W> Run<'run, M, W> {
    fn new(engine: <M as sealed::Mode>::Engine<'run>, worker: W) -> Self {
        Run {
            engine,
            worker,
            brand: Brand::new(),
        }
    }

    /// Asks for the approval of gate `G`, and is the only place that gives one.
    ///
    /// Live, the run's [`Authority`](crate::Authority) is asked, and what it attests to is compared
    /// with this run: gate, plan, target, expiry. In a dry run and in a rehearsal nothing is asked. `run.approval()?` infers the gate from
    /// the phase that consumes the approval; `run.approval::<Sg1>()?` says it to whoever reads.
    ///
    /// It is for one phase: the plan's next one behind `G` at the moment of asking, which is the one
    /// that the authority is asked about. A gate that only a later phase is behind can be asked for
    /// before the first phase is performed, so that a refusal comes while nothing has changed yet.
    ///
    /// # Errors
    ///
    /// [`Refusal::Approval`](crate::Refusal::Approval), with the reason.
    pub fn approval<G: Gate>(&mut self) -> Result<M::Approval<'run, G>, Error> {
        Ok(<M as sealed::Mode>::approve::<G>(&mut self.engine)?)
    }

    /// The first half of performing `spec`; the second is [`ToPerform::perform`] or
    /// [`ToPerform::attempt`].
    pub fn phase<S: PhaseSpec>(&mut self, spec: S) -> ToPerform<'_, 'run, S, M, W> {
        ToPerform { run: self, spec }
    }

    /// Performs a phase that was built beforehand; see [`ToPerform::perform`].
    ///
    /// # Errors
    ///
    /// As [`ToPerform::perform`].
    pub fn perform<'r, S: PhaseSpec>(
        &mut self,
        phase: Phase<'r, 'run, S, M>,
    ) -> Result<Receipt<'run, S, M>, Error>
    where
        W: Perform<M, S>,
    {
        self.attempt(phase).into_result()
    }

    /// Performs a phase that was built beforehand; see [`ToPerform::attempt`].
    pub fn attempt<'r, S: PhaseSpec>(
        &mut self,
        phase: Phase<'r, 'run, S, M>,
    ) -> Attempt<'r, 'run, S, M>
    where
        W: Perform<M, S>,
    {
        let decoded = match <S::After as sealed::After>::decode::<M>(phase.after) {
            Ok(decoded) => decoded,
            Err(refusal) => return Attempt::Refused { phase, refusal },
        };
        let given = Given {
            after: <S::After as sealed::After>::names::<M>(phase.after),
            prior: <S::After as sealed::After>::lend(&decoded),
        };
        let done = <M as sealed::Mode>::perform::<S, W>(
            &mut self.engine,
            &mut self.worker,
            &phase.spec,
            given,
        );
        match done {
            Ok(done) => Attempt::Performed(Receipt::mint(done, self.brand)),
            Err(Stop::Refused(refusal)) => Attempt::Refused { phase, refusal },
            Err(Stop::RolledBack(rollback)) => Attempt::RolledBack { phase, rollback },
            Err(Stop::InDoubt(doubt)) => Attempt::InDoubt(Unsettled::new(phase, doubt)),
        }
    }
}

impl<'run, W> Run<'run, Live, W> {
    /// What the authority attested to in this run so far, in the order of the asking.
    pub fn attestations(&self) -> impl Iterator<Item = &Attestation> {
        self.engine.attestations()
    }

    /// Settles a phase that is in doubt, so that the run can go on: with its receipt if it was
    /// committed, with the phase itself if it was rolled back.
    ///
    /// It tries for at most `patience`. What cannot be settled now stays in doubt, and the run
    /// refuses further phases.
    pub fn settle<'r, S: PhaseSpec>(
        &mut self,
        unsettled: Unsettled<'r, 'run, S, Live>,
        patience: Duration,
    ) -> Attempt<'r, 'run, S, Live> {
        let (phase, doubt) = unsettled.into_parts();
        match self.engine.settle::<S>(doubt, patience) {
            Ok(done) => Attempt::Performed(Receipt::mint(done, self.brand)),
            Err(Stop::Refused(refusal)) => Attempt::Refused { phase, refusal },
            Err(Stop::RolledBack(rollback)) => Attempt::RolledBack { phase, rollback },
            Err(Stop::InDoubt(doubt)) => Attempt::InDoubt(Unsettled::new(phase, doubt)),
        }
    }
}

impl<M: Mode, W> fmt::Debug for Run<'_, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({})", M::NAME)
    }
}

/// A phase that a run is about to perform, once it is given what it needs.
#[must_use = "a phase does nothing until `perform` or `attempt`"]
pub struct ToPerform<'a, 'run, S: PhaseSpec, M: Mode, W> {
    run: &'a mut Run<'run, M, W>,
    spec: S,
}

impl<'run, S: PhaseSpec, M: Mode, W> ToPerform<'_, 'run, S, M, W> {
    /// Performs the phase: with the switch token, the approval that its gate demands (`Ungated`
    /// where it demands none), and the receipts of what comes before (`Start` where nothing does).
    ///
    /// Live, the steps are those of [`Step`](crate::Step), in that order; the refusals come first
    /// and touch nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::Refused`]: a check said no, and nothing was touched;
    /// - [`Error::RolledBack`]: it failed, names the row if one is to blame, and left nothing;
    /// - [`Error::InDoubt`]: the answer to the commit was lost.
    ///
    /// # Panics
    ///
    /// When the adapter or the simulator does; the transaction is rolled back on the way.
    pub fn perform<'r>(
        self,
        on: &'r M::Switch<'run>,
        approved: Witness<'run, S, M>,
        after: Receipts<'r, 'run, S, M>,
    ) -> Result<Receipt<'run, S, M>, Error>
    where
        'run: 'r,
        W: Perform<M, S>,
    {
        self.run.perform(Phase::new(self.spec, on, approved, after))
    }

    /// As [`perform`](ToPerform::perform), for those who want to try again: a phase that was
    /// refused or rolled back comes back, with its approval.
    ///
    /// # Panics
    ///
    /// As [`perform`](ToPerform::perform).
    pub fn attempt<'r>(
        self,
        on: &'r M::Switch<'run>,
        approved: Witness<'run, S, M>,
        after: Receipts<'r, 'run, S, M>,
    ) -> Attempt<'r, 'run, S, M>
    where
        'run: 'r,
        W: Perform<M, S>,
    {
        self.run.attempt(Phase::new(self.spec, on, approved, after))
    }
}

impl<S: PhaseSpec, M: Mode, W> fmt::Debug for ToPerform<'_, '_, S, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ToPerform({}, {})", S::NAME, M::NAME)
    }
}
