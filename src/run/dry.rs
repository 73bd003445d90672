use std::fmt;
use std::time::SystemTime;

use super::Run;
use super::decoded::decoded;
use crate::canonical;
use crate::gate::{Gate, Unapproved};
use crate::kill_switch::NoSwitch;
use crate::mode::{DryRun, Mode};
use crate::observer::{Ending, Event, Observer, Step, observed_by};
use crate::outcome::{Error, Refusal, Rollback, RollbackCause, Stop};
use crate::phase::{PhaseSpec, full_name};
use crate::plan::{Effects, Heading, MadeBy, Plan, PlannedPhase, Target};
use crate::sealed::{self, Done, Given, NotGiven, SuppliedSimulator, SuppliedTarget};

/// Where a target is still to be given: [`DryRunner::target`].
#[derive(Debug, Clone, Copy)]
pub struct NoTarget;

/// Where a simulator is still to be given: [`DryRunner::simulator`].
#[derive(Debug, Clone, Copy)]
pub struct NoSimulator;

/// The simulator that was given.
#[derive(Debug, Clone, Copy)]
pub struct WithSimulator<W>(W);

impl NotGiven for NoTarget {}
impl NotGiven for NoSimulator {}

impl SuppliedTarget for Target {
    fn into_target(self) -> Target {
        self
    }
}

impl<W> SuppliedSimulator for WithSimulator<W> {
    type Simulator = W;

    fn into_simulator(self) -> W {
        self.0
    }
}

/// What a dry run leaves: what the pipeline answered, and the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned<T> {
    /// What the pipeline answered.
    pub value: T,
    /// The plan: what people approve, and what a live run demands.
    pub plan: Plan,
}

/// Performs a pipeline dry: by a simulator, without kill switch, approval or connection, and leaves
/// the [`Plan`].
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut { rows: u64 }
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// struct Predicts;
/// impl Simulate<Cut> for Predicts {
///     fn simulate(&mut self, cut: &Cut, _: (), effects: &mut Effects) -> Result<u64, Failure> {
///         effects.insert("public.row", cut.rows);
///         Ok(cut.rows)
///     }
/// }
///
/// let planned = DryRunner::new("cut")
///     .target(Target::new("7318", "town", "runner"))
///     .simulator(Predicts)
///     .run(|run, on| {
///         let sg1 = run.approval::<Sg1>()?;
///         Ok(run.phase(Cut { rows: 3 }).perform(on, sg1, Start)?.into_output())
///     })?;
/// assert_eq!(planned.value, 3);
/// assert_eq!(planned.plan.phases()[0].gates(), ["SG_1"]);
/// # Ok::<(), Error>(())
/// ```
///
/// The run itself leads to no database. A simulator that has to look at the real data to predict owns a
/// [`ReadOnlySession`](crate::ReadOnlySession), which the server keeps from writing; its documentation has an example.
#[must_use = "a runner does nothing until `run`"]
pub struct DryRunner<T = NoTarget, W = NoSimulator> {
    pipeline: String,
    target: T,
    simulator: W,
    observer: Box<Observer<'static>>,
    heading: Heading,
}

impl DryRunner {
    /// A dry run of the pipeline of this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        DryRunner {
            pipeline: pipeline.into(),
            target: NoTarget,
            simulator: NoSimulator,
            observer: Box::new(|_| ()),
            heading: Heading::default(),
        }
    }
}

impl<T, W> DryRunner<T, W> {
    /// The database that the plan is for. A live run of the plan is refused on any other.
    pub fn target(self, target: Target) -> DryRunner<Target, W>
    where
        T: NotGiven,
    {
        DryRunner {
            pipeline: self.pipeline,
            target,
            simulator: self.simulator,
            observer: self.observer,
            heading: self.heading,
        }
    }

    /// What performs the phases: [`Simulate<S>`](crate::Simulate) for each phase `S`.
    pub fn simulator<V>(self, simulator: V) -> DryRunner<T, WithSimulator<V>>
    where
        W: NotGiven,
    {
        DryRunner {
            pipeline: self.pipeline,
            target: self.target,
            simulator: WithSimulator(simulator),
            observer: self.observer,
            heading: self.heading,
        }
    }

    /// Who makes the plan, by the name that policies and allowed signers have for them, letter for
    /// letter. It stands in the plan; whoever made it does not approve it, unless the policy of a gate
    /// says so, and by a name that is nobody's it is approved by no one. The last call holds, as in the two that follow:
    /// the plan shows what it holds.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.heading.author = Some(author.into());
        self
    }

    /// Who last changed what the plan is made of (the document, the list of accounts), if that was
    /// another than the author; see [`author`](DryRunner::author).
    pub fn last_editor(mut self, editor: impl Into<String>) -> Self {
        self.heading.last_editor = Some(editor.into());
        self
    }

    /// From when on no phase of the plan is opened or committed any more, to the second. The moment stands in the
    /// plan, so that a plan made again is the same plan; if this is not called, only its approvals
    /// grow old.
    pub fn valid_until(mut self, moment: SystemTime) -> Self {
        self.heading.valid_until = Some(moment);
        self
    }

    /// Is told what happens, as it happens; see [`LiveRunner::observer`](crate::LiveRunner::observer).
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.observer = observed_by(self.observer, observer);
        self
    }

    /// Performs the pipeline, and answers what it answered, with the plan.
    ///
    /// # Errors
    ///
    /// The pipeline's own, and a refusal if it performed no phase.
    pub fn run<V, F>(self, pipeline: F) -> Result<Planned<V>, Error>
    where
        T: SuppliedTarget,
        W: SuppliedSimulator,
        F: for<'run> FnOnce(&mut Run<'run, DryRun, W::Simulator>, &NoSwitch) -> Result<V, Error>,
    {
        self.try_run(pipeline)
    }

    /// As [`run`](DryRunner::run), for pipelines with an error type of their own.
    ///
    /// # Errors
    ///
    /// As [`run`](DryRunner::run).
    pub fn try_run<V, E, F>(mut self, pipeline: F) -> Result<Planned<V>, E>
    where
        T: SuppliedTarget,
        W: SuppliedSimulator,
        E: From<Error>,
        F: for<'run> FnOnce(&mut Run<'run, DryRun, W::Simulator>, &NoSwitch) -> Result<V, E>,
    {
        let engine = DryEngine {
            phases: Vec::new(),
            observer: &mut *self.observer,
        };
        let mut run = Run::new(engine, self.simulator.into_simulator());
        let value = pipeline(&mut run, &NoSwitch)?;
        let phases = run.engine.phases;
        if phases.is_empty() {
            return Err(Error::from(Refusal::EmptyPlan).into());
        }
        let target = self.target.into_target();
        let plan = Plan::made(
            MadeBy::Prediction,
            &self.pipeline,
            target,
            self.heading,
            phases,
        )
        .map_err(|flaw| Error::from(Refusal::PlanFlawed { phase: None, flaw }))?;
        Ok(Planned { value, plan })
    }
}

impl<T, W> fmt::Debug for DryRunner<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DryRunner({})", self.pipeline)
    }
}

/// What a dry run holds: the plan so far.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct DryEngine<'run> {
    phases: Vec<PlannedPhase>,
    observer: &'run mut Observer<'run>,
}

impl sealed::Mode for DryRun {
    type Scene<'t> = Effects;
    type Engine<'run> = DryEngine<'run>;
    type Evidence = ();

    fn approve<'run, G: Gate>(
        _: &mut Self::Engine<'run>,
    ) -> Result<<Self as Mode>::Approval<'run, G>, Refusal> {
        Ok(Unapproved::new())
    }

    fn perform<S: PhaseSpec, W: sealed::Perform<Self, S>>(
        engine: &mut DryEngine<'_>,
        worker: &mut W,
        spec: &S,
        given: Given<'_, S>,
    ) -> Result<Done<S::Output, ()>, Stop> {
        let phase = full_name(spec);
        (engine.observer)(&Event::Begins {
            phase: &phase,
            place: engine.phases.len() + 1,
            of: None,
        });
        let done = engine.simulate(&phase, worker, spec, given);
        let ending = match &done {
            Ok(_) => Ending::Performed,
            Err(Stop::Refused(_)) => Ending::Refused,
            Err(Stop::RolledBack(_) | Stop::InDoubt(_)) => Ending::RolledBack,
        };
        (engine.observer)(&Event::Ends {
            phase: &phase,
            ending,
        });
        done
    }
}

impl DryEngine<'_> {
    fn simulate<S: PhaseSpec, W: sealed::Perform<DryRun, S>>(
        &mut self,
        phase: &str,
        worker: &mut W,
        spec: &S,
        given: Given<'_, S>,
    ) -> Result<Done<S::Output, ()>, Stop> {
        if self.phases.iter().any(|planned| planned.name() == phase) {
            let phase = phase.to_owned();
            return Err(Refusal::DuplicatePhase { phase }.into());
        }
        let (bytes, spec) = decoded(phase, spec)?;
        self.passed(phase, Step::Valid);
        let rolled_back = |cause| Rollback::new(phase, DryRun::NAME, cause);
        let mut effects = Effects::new();
        let output = worker
            .perform(&spec, given.prior, &mut effects)
            .map_err(|failure| rolled_back(RollbackCause::Failed(failure)))?;
        let (output_bytes, output) = canonical::round_trip(&output)
            .map_err(|error| rolled_back(RollbackCause::Output(error)))?;
        // Of the value read once more: what the simulator did to the one that it was shown stays there.
        let spec: S = canonical::decode(&bytes).map_err(|source| Refusal::NotCanonical {
            phase: phase.to_owned(),
            source,
        })?;
        let planned =
            PlannedPhase::presented::<S>(phase, given.after, &bytes).with(&spec, &effects);
        if let Some(flaw) = planned.flaw() {
            let phase = Some(phase.to_owned());
            return Err(Refusal::PlanFlawed { phase, flaw }.into());
        }
        self.passed(phase, Step::Performed);
        self.phases.push(planned);
        Ok(Done {
            phase: phase.to_owned(),
            output,
            bytes: output_bytes,
            evidence: (),
        })
    }

    fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}
