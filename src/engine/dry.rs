//! Performs a dry run. It has no connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::inputs::InputsAhead;
use super::job::{Done, Job, Simulation};
use super::timeouts::Timeouts;
use crate::observer::{Ending, Event, Observer, Step};
use crate::outcome::{DRY_RUN, PhaseError, Refusal, RefusalReason, Rollback};
use crate::plan::{Effects, Plan, PlanInputs, PlannedPhase};

/// The state of a dry run: the phases that were performed so far.
#[allow(missing_debug_implementations)] // sealed: no other crate can hold one
pub struct DryEngine<'run> {
    phases: Vec<PlannedPhase>,
    inputs: Vec<Arc<Vec<u8>>>,
    outputs: Vec<Vec<u8>>,
    /// The phases that were begun, without their effects.
    presented: Vec<PlannedPhase>,
    /// The inputs of the plan that is looked at, in a preflight.
    given: Option<InputsAhead<'run>>,
    names: BTreeSet<String>,
    observer: &'run mut Observer<'run>,
}

impl<'run> DryEngine<'run> {
    /// The mode's name, for people.
    pub(crate) const MODE: &'static str = DRY_RUN;

    pub(crate) fn new(observer: &'run mut Observer<'run>) -> Self {
        DryEngine {
            phases: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            presented: Vec::new(),
            given: None,
            names: BTreeSet::new(),
            observer,
        }
    }

    /// Returns an engine for a pipeline that goes through `plan` again.
    pub(crate) fn replaying(
        observer: &'run mut Observer<'run>,
        plan: &'run Plan,
        inputs: Option<&'run PlanInputs>,
    ) -> Self {
        DryEngine {
            given: inputs.map(|inputs| InputsAhead::of(plan, inputs)),
            ..DryEngine::new(observer)
        }
    }

    /// Returns the phases that were performed, in the form of the plan, their inputs, and their outputs.
    pub(crate) fn into_phases(self) -> (Vec<PlannedPhase>, Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let inputs = self.inputs.into_iter().map(Arc::unwrap_or_clone);
        (self.phases, inputs.collect(), self.outputs)
    }

    /// Returns the phases that were begun, without their effects.
    pub(crate) fn presented(self) -> Vec<PlannedPhase> {
        self.presented
    }

    /// Returns the approved input of the next phase that is meant; see [`InputsAhead`].
    pub(crate) fn input(&mut self, is_of: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
        let performed = self.phases.len();
        self.given.as_mut()?.next(performed, is_of)
    }

    /// Performs `job` by its simulator.
    pub(crate) fn perform(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Simulation<'_>,
    ) -> Result<Done<()>, PhaseError> {
        let phase = job.phase;
        (self.observer)(&Event::Begins {
            phase,
            place: self.phases.len() + 1,
            of: None,
        });
        let done = self.simulate(job, perform);
        let ending = match &done {
            Ok(_) => Ending::Performed,
            Err(PhaseError::Refused(_)) => Ending::Refused,
            Err(PhaseError::RolledBack(_) | PhaseError::InDoubt(_)) => Ending::RolledBack,
        };
        let cause = done.as_ref().err().map(PhaseError::cause);
        (self.observer)(&Event::Ends {
            phase,
            ending,
            cause,
        });
        done
    }

    fn simulate(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Simulation<'_>,
    ) -> Result<Done<()>, PhaseError> {
        let phase = job.phase;
        if self.names.contains(phase) {
            return Err(Refusal::of_phase(phase, RefusalReason::DuplicatePhase).into());
        }
        let bytes = job.input.validate(Timeouts::default())?.bytes;
        self.passed(phase, Step::Valid);
        self.presented.push(job.presented(&bytes));
        let mut effects = Effects::new();
        let output = perform(&bytes, &mut effects)
            .map_err(|error| Rollback::new(phase, Self::MODE, error.into()))?;
        let planned = job.planned(&bytes, &effects)?;
        self.passed(phase, Step::Performed);
        self.names.insert(phase.to_owned());
        self.phases.push(planned);
        self.inputs.push(bytes);
        self.outputs.push(output.clone());
        Ok(Done {
            output,
            evidence: (),
        })
    }

    fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}
