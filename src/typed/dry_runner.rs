//! The runner of dry runs.

use std::fmt;
use std::time::SystemTime;

use super::brand::Brand;
use super::mode::DryRun;
use super::parts::{Given, HasSimulator, HasTarget, NoSimulator, NoTarget, NotGiven};
use super::report::DryRunReport;
use super::run::Run;
use super::switch::Switch;
use crate::engine::DryEngine;
use crate::gates::GateTable;
use crate::observer::{Event, Observer, observed_by};
use crate::outcome::{Error, Refusal, RefusalReason};
use crate::plan::{EffectsSource, Heading, Plan, PlanInputs, PlanOutputs, ProgramIdentity, Target};

/// Performs a pipeline as a dry run, by a simulator, without kill switch, approval or connection, and returns the
/// [`Plan`].
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
/// The run itself has no connection to a database. A simulator that reads the real data for its predictions owns a
/// [`ReadOnlySession`](crate::connect::ReadOnlySession), in which the server refuses writes; its documentation has an
/// example.
#[must_use = "a runner does nothing until `run`"]
pub struct DryRunner<T = NoTarget, W = NoSimulator> {
    parts: (T, W),
    settings: Settings,
}

/// The options of a runner beside its parts.
struct Settings {
    pipeline: String,
    observer: Box<Observer<'static>>,
    heading: Heading,
}

impl DryRunner {
    /// Returns a runner of the pipeline of this name, without any of its parts.
    pub fn new(pipeline: impl Into<String>) -> Self {
        DryRunner {
            parts: (NoTarget, NoSimulator),
            settings: Settings {
                pipeline: pipeline.into(),
                observer: Box::new(|_| ()),
                heading: Heading::default(),
            },
        }
    }
}

impl<T, W> DryRunner<T, W> {
    /// Sets the database that the plan is for. A live run of the plan is refused on any other.
    pub fn target(self, target: Target) -> DryRunner<Given<Target>, W>
    where
        T: NotGiven,
    {
        DryRunner {
            parts: (Given(target), self.parts.1),
            settings: self.settings,
        }
    }

    /// Sets the simulator, which implements [`Simulate<S>`](crate::Simulate) for each phase `S`.
    pub fn simulator<V>(self, simulator: V) -> DryRunner<T, Given<V>>
    where
        W: NotGiven,
    {
        DryRunner {
            parts: (self.parts.0, Given(simulator)),
            settings: self.settings,
        }
    }

    /// Sets the author of the plan, by the exact name that policies and allowed signers use. The name stands in the
    /// plan. The author may not approve the plan, unless the policy of a gate allows it; and unless it does, a plan
    /// whose author is unknown has no eligible approver. The last call counts, as for the next two methods.
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.settings.heading.author = Some(author.into());
        self
    }

    /// Sets who last changed the plan's input (the document, the list of accounts), if not the author; see
    /// [`author`](DryRunner::author).
    pub fn last_editor(mut self, editor: impl Into<String>) -> Self {
        self.settings.heading.last_editor = Some(editor.into());
        self
    }

    /// Sets the time after which no phase of the plan is opened or committed, in whole seconds. It stands in the plan.
    /// By default a plan does not expire; its approvals do.
    pub fn valid_until(mut self, moment: SystemTime) -> Self {
        self.settings.heading.valid_until = Some(moment);
        self
    }

    /// Sets what tells the plan from another one with the same change; see [`Plan::occasion`](crate::Plan::occasion). By
    /// default, the plan of a dry run has none: the same pipeline with the same input makes the same plan.
    pub fn occasion(mut self, occasion: impl Into<String>) -> Self {
        self.settings.heading.occasion = Some(occasion.into());
        self
    }

    /// Sets what the program says of itself, for the plan: [`ProgramIdentity::of_this_process`]. A live run can demand
    /// the same ([`LiveRunner::same_program`](crate::LiveRunner::same_program)).
    pub fn program(mut self, program: ProgramIdentity) -> Self {
        self.settings.heading.program = Some(program);
        self
    }

    /// Calls `observer` with each event as it happens; see [`LiveRunner::observer`](crate::LiveRunner::observer).
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.settings.observer = observed_by(self.settings.observer, observer);
        self
    }

    /// Performs the pipeline, and returns its value, with the plan.
    ///
    /// # Errors
    ///
    /// Returns the pipeline's own error, or a refusal if it performed no phase.
    pub fn run<V, F>(self, pipeline: F) -> Result<DryRunReport<V>, Error>
    where
        T: HasTarget<Part = Target>,
        W: HasSimulator,
        F: for<'run> FnOnce(
            &mut Run<'run, DryRun, W::Part>,
            &Switch<'run, DryRun>,
        ) -> Result<V, Error>,
    {
        self.try_run(pipeline)
    }

    /// As [`run`](DryRunner::run), for pipelines with a custom error type.
    ///
    /// # Errors
    ///
    /// As [`run`](DryRunner::run).
    pub fn try_run<V, E, F>(self, pipeline: F) -> Result<DryRunReport<V>, E>
    where
        T: HasTarget<Part = Target>,
        W: HasSimulator,
        E: From<Error>,
        F: for<'run> FnOnce(&mut Run<'run, DryRun, W::Part>, &Switch<'run, DryRun>) -> Result<V, E>,
    {
        let (target, simulator) = self.parts;
        let Settings {
            pipeline: name,
            mut observer,
            heading,
        } = self.settings;
        let on = Switch::mint(Brand::mint());
        let mut run = Run::new(DryEngine::new(&mut *observer), simulator.into_part());
        let value = pipeline(&mut run, &on)?;
        let (engine, seen) = run.into_parts();
        let (phases, inputs, outputs) = engine.into_phases();
        if phases.is_empty() {
            return Err(Error::from(Refusal::of_run(RefusalReason::EmptyPlan)).into());
        }
        let source = EffectsSource::Prediction;
        let plan = Plan::made(source, &name, target.into_part(), heading, phases, None)
            .map_err(|flaw| Error::from(Refusal::of_run(RefusalReason::PlanFlawed { flaw })))?;
        let gates = GateTable::of(&plan, &seen);
        let inputs = PlanInputs::of(&plan, inputs);
        let outputs = PlanOutputs::of(&plan, outputs);
        Ok(DryRunReport {
            value,
            plan,
            inputs,
            outputs,
            gates,
        })
    }
}

impl<T, W> fmt::Debug for DryRunner<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DryRunner({})", self.settings.pipeline)
    }
}
