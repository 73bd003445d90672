//! One performance of a pipeline, which mints approvals and receipts.

use std::fmt;
use std::time::Duration;

use super::adapter::Perform;
use super::attempt::{Attempt, UnresolvedPhase};
use super::brand::Brand;
use super::mode::{Live, Mode, sealed};
use super::phase::Phase;
use super::receipt::Receipt;
use super::requirement::{Approvable, Approval, gate_names};
use super::spec::{PhaseSpec, Receipts, Witness, sealed::After as _};
use super::switch::Switch;
use crate::authority::Attestation;
use crate::base::canonical;
use crate::engine::{Done, Job, NotPerformed};
use crate::gates::PhaseTypes;
use crate::outcome::{Error, Failure, PhaseError, Refusal, RefusalReason};

/// One performance of a pipeline, in mode `M`, by `W`.
///
/// [`DryRunner::run`](crate::DryRunner::run), [`RehearsalRunner::run`](crate::RehearsalRunner::run) and
/// [`LiveRunner::run`](crate::LiveRunner::run) lend it to the pipeline. Its lifetime `'run` is fresh and invariant, as
/// in [`std::thread::scope`]: the approvals, receipts and switch token of one run cannot be used in another, and
/// cannot leave it.
///
/// For a mix-up of two runs, the compiler reports "borrowed data escapes outside of closure" (E0521), or "lifetime may
/// not live long enough". Read it as: *this token belongs to another run*.
pub struct Run<'run, M: Mode, W> {
    engine: <M as sealed::Mode>::Engine<'run>,
    performer: W,
    /// The types of the phases so far, for the gate table.
    seen: Vec<PhaseTypes>,
    brand: Brand<'run>,
}

impl<'run, M: Mode, W> Run<'run, M, W> {
    pub(in crate::typed) fn new(engine: <M as sealed::Mode>::Engine<'run>, performer: W) -> Self {
        Run {
            engine,
            performer,
            seen: Vec::new(),
            brand: Brand::mint(),
        }
    }

    pub(in crate::typed) fn into_engine(self) -> <M as sealed::Mode>::Engine<'run> {
        self.engine
    }

    /// Returns the engine, and the types of the phases that were performed.
    pub(in crate::typed) fn into_parts(
        self,
    ) -> (<M as sealed::Mode>::Engine<'run>, Vec<PhaseTypes>) {
        (self.engine, self.seen)
    }

    /// Requests the approval of gate `G`. Nothing else makes an approval of one gate; [`Approval::and`] joins two.
    ///
    /// In a live run, the run's [`Authority`](crate::approval::Authority) is asked, and its attestation is compared
    /// with this run: gate, plan, target, expiry. In a dry run and in a rehearsal no authority is asked.
    /// `run.approval()?` infers the gate from the phase that consumes the approval; `run.approval::<Sg1>()?` tells the
    /// reader too. `run.approval::<And<Sg1, Sg2>>()?` requests both, in this order.
    ///
    /// The approval is for one phase: the plan's next one behind `G` at the moment of the request, which is the phase
    /// in the request to the authority. A gate that only a later phase is behind can be requested before the first
    /// phase is performed, so that a refusal comes before any change.
    ///
    /// # Errors
    ///
    /// Returns [`RefusalReason::Approval`](crate::error::RefusalReason::Approval), with the reason.
    pub fn approval<G: Approvable>(&mut self) -> Result<Approval<'run, G, M>, Error> {
        for gate in gate_names::<G>() {
            <M as sealed::Mode>::approve(&mut self.engine, gate)?;
        }
        // The only mint beside `Approval::and`: each gate of `G` was checked above.
        Ok(Approval::mint(self.brand))
    }

    /// Returns the input of the next phase `S`: in a live run that was given the plan's inputs
    /// ([`LiveRunner::inputs`](crate::LiveRunner::inputs)) the approved one, read from its bytes; else what `build` returns.
    ///
    /// So a pipeline that reads its inputs from somewhere (a document, a query) is written once, and live it performs
    /// what people saw, although that document may have changed since.
    ///
    /// ```
    /// # use phasegate::*;
    /// # use serde::{Serialize, Deserialize};
    /// # #[derive(Serialize, Deserialize)] struct CloseAccounts { numbers: Vec<String> }
    /// # impl PhaseSpec for CloseAccounts {
    /// #     const NAME: &'static str = "close_accounts"; type Gate = Sg1; type After = Start; type Output = u64;
    /// # }
    /// fn pipeline<'run, M: Mode, W: Perform<M, CloseAccounts>>(
    ///     run: &mut Run<'run, M, W>,
    ///     on: &Switch<'run, M>,
    ///     look: impl FnOnce() -> Result<Vec<String>, Error>,
    /// ) -> Result<u64, Error> {
    ///     let spec = run.input(|| Ok(CloseAccounts { numbers: look()? }))?;
    ///     let sg1 = run.approval()?;
    ///     Ok(run.phase(spec).perform(on, sg1, Start)?.into_output())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of `build`, or a refusal if the approved input is no longer one of `S`.
    pub fn input<S: PhaseSpec>(
        &mut self,
        build: impl FnOnce() -> Result<S, Error>,
    ) -> Result<S, Error> {
        match <M as sealed::Mode>::input(&mut self.engine, S::NAME) {
            Some(bytes) => canonical::decode(&bytes).map_err(|error| {
                Refusal::of_phase(S::NAME, RefusalReason::NotCanonical(error)).into()
            }),
            None => build(),
        }
    }

    /// Begins performing `spec`; [`PhaseCall::perform`] or [`PhaseCall::attempt`] completes it.
    pub fn phase<S: PhaseSpec>(&mut self, spec: S) -> PhaseCall<'_, 'run, S, M, W> {
        PhaseCall { run: self, spec }
    }

    /// Performs a phase that was built beforehand; see [`PhaseCall::perform`].
    ///
    /// # Errors
    ///
    /// As [`PhaseCall::perform`].
    pub fn perform<'r, S: PhaseSpec>(
        &mut self,
        phase: Phase<'r, 'run, S, M>,
    ) -> Result<Receipt<'run, S, M>, Error>
    where
        W: Perform<M, S>,
    {
        self.attempt(phase).into_result()
    }

    /// Performs a phase that was built beforehand; see [`PhaseCall::attempt`].
    pub fn attempt<'r, S: PhaseSpec>(
        &mut self,
        mut phase: Phase<'r, 'run, S, M>,
    ) -> Attempt<'r, 'run, S, M>
    where
        W: Perform<M, S>,
    {
        PhaseTypes::of::<S, S::Output>(S::NAME).add_to(&mut self.seen);
        let name = phase.name();
        let after = phase.after;
        let mut job = Job {
            phase: &name,
            gates: &gate_names::<S::Gate>(),
            after: S::After::names::<M>(after),
            input: &mut phase.input,
        };
        let performer = &mut self.performer;
        // The adapter's input is decoded again for each performance: from the approved bytes, and the receipts'
        // outputs from the journal's.
        let mut perform = |bytes: &[u8], context: &mut <M as sealed::Mode>::Context<'_>| {
            let unreadable = |error| NotPerformed::Failed(Failure::new(error));
            let spec: S = canonical::decode(bytes).map_err(unreadable)?;
            let prior = S::After::decode::<M>(after).map_err(unreadable)?;
            let output = performer.perform(&spec, S::After::lend(&prior), context);
            let output = output.map_err(NotPerformed::Failed)?;
            drop((spec, prior));
            let bytes = canonical::encode(&output).map_err(NotPerformed::Output)?;
            drop(output);
            canonical::decode_stable::<S::Output>(&bytes).map_err(NotPerformed::Output)?;
            Ok(bytes)
        };
        let done = <M as sealed::Mode>::perform(&mut self.engine, &mut job, &mut perform);
        self.ended(name, phase, done)
    }

    /// Resolves a phase that is in doubt, so that the run can go on: returns its receipt if it was committed, and the
    /// phase itself if it was rolled back. Only a live phase can be in doubt.
    ///
    /// It tries for at most `patience`. A phase that cannot be resolved now stays in doubt, and the run refuses
    /// further phases.
    pub fn resolve<'r, S: PhaseSpec>(
        &mut self,
        unresolved: UnresolvedPhase<'r, 'run, S, M>,
        patience: Duration,
    ) -> Attempt<'r, 'run, S, M> {
        let (phase, doubt) = unresolved.into_parts();
        let name = doubt.phase().to_owned();
        let done = <M as sealed::Mode>::resolve(&mut self.engine, doubt, patience);
        self.ended(name, phase, done)
    }

    fn ended<'r, S: PhaseSpec>(
        &self,
        name: String,
        phase: Phase<'r, 'run, S, M>,
        done: Result<Done<<M as sealed::Mode>::Evidence>, PhaseError>,
    ) -> Attempt<'r, 'run, S, M> {
        match done {
            Ok(done) => match Receipt::mint(name.clone(), done.output, done.evidence, self.brand) {
                Ok(receipt) => Attempt::Performed(receipt),
                Err(error) => Attempt::Refused {
                    phase,
                    refusal: Refusal::new(
                        Some(name),
                        RefusalReason::OutputUnreadable(error.into()),
                    ),
                },
            },
            Err(PhaseError::Refused(refusal)) => Attempt::Refused { phase, refusal },
            Err(PhaseError::RolledBack(rollback)) => Attempt::RolledBack { phase, rollback },
            Err(PhaseError::InDoubt(doubt)) => Attempt::InDoubt(UnresolvedPhase::new(phase, doubt)),
        }
    }
}

impl<W> Run<'_, Live, W> {
    /// Returns the attestations of this run so far, in the order in which they were requested.
    pub fn attestations(&self) -> impl Iterator<Item = &Attestation> {
        self.engine.attestations()
    }
}

impl<M: Mode, W> fmt::Debug for Run<'_, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({})", M::NAME)
    }
}

/// A phase that a run is about to perform, before it is given its tokens.
#[must_use = "a phase does nothing until `perform` or `attempt`"]
pub struct PhaseCall<'a, 'run, S: PhaseSpec, M: Mode, W> {
    run: &'a mut Run<'run, M, W>,
    spec: S,
}

impl<'run, S: PhaseSpec, M: Mode, W> PhaseCall<'_, 'run, S, M, W> {
    /// Performs the phase, given the switch token, the approval that its gate demands (`Ungated` if it has no gate),
    /// and the receipts of the phases before it (`Start` if there are none).
    ///
    /// In a live run, the steps are those of [`Step`](crate::runner::Step), in that order; the refusals come first and
    /// touch nothing.
    ///
    /// # Errors
    ///
    /// - [`Error::Refused`]: a check failed, and this call changed nothing;
    /// - [`Error::RolledBack`]: the phase failed and was rolled back; the error names the failed row if there is one;
    /// - [`Error::InDoubt`]: the response to the commit was lost.
    ///
    /// # Panics
    ///
    /// Panics if the adapter or the simulator panics; the transaction is rolled back before that.
    pub fn perform<'r>(
        self,
        on: &'r Switch<'run, M>,
        approved: Witness<'run, S, M>,
        after: Receipts<'r, 'run, S, M>,
    ) -> Result<Receipt<'run, S, M>, Error>
    where
        'run: 'r,
        W: Perform<M, S>,
    {
        self.run.perform(Phase::new(self.spec, on, approved, after))
    }

    /// As [`perform`](PhaseCall::perform), for callers that want to try again: a phase that was refused or rolled back
    /// is returned, with its approval.
    ///
    /// # Panics
    ///
    /// As [`perform`](PhaseCall::perform).
    pub fn attempt<'r>(
        self,
        on: &'r Switch<'run, M>,
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

impl<S: PhaseSpec, M: Mode, W> fmt::Debug for PhaseCall<'_, '_, S, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhaseCall({}, {})", S::NAME, M::NAME)
    }
}
