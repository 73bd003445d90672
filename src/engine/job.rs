//! The input and output of the engine for one phase: names and bytes.

use std::sync::Arc;

use super::timeouts::Timeouts;
use crate::base::canonical::NotCanonical;
use crate::database::PhaseTx;
use crate::outcome::{Failure, Refusal, RefusalReason, RollbackCause};
use crate::plan::{Effects, PlannedPhase};

/// A phase to be performed. The engine knows nothing of its Rust type: that is behind [`Input`], and in the function
/// that performs the phase.
#[allow(missing_debug_implementations)] // sealed: no other crate can hold one
pub struct Job<'j> {
    /// The phase's name, with its instance.
    pub(crate) phase: &'j str,
    /// The names of its gates, in order.
    pub(crate) gates: &'j [&'static str],
    /// The phases whose receipts it was given.
    pub(crate) after: Vec<String>,
    pub(crate) input: &'j mut dyn Input,
}

impl Job<'_> {
    /// Returns the phase in the form of a plan, with an input of these bytes, but without its summary and effects.
    pub(super) fn presented(&self, bytes: &[u8]) -> PlannedPhase {
        PlannedPhase::presented(self.phase, self.gates, self.after.clone(), bytes)
    }

    /// Returns the phase as it stands in a plan, or a refusal if its name, summary or effects cannot stand in a plan.
    pub(super) fn planned(&self, bytes: &[u8], effects: &Effects) -> Result<PlannedPhase, Refusal> {
        let planned = self.input.plan(bytes, self.presented(bytes), effects)?;
        match planned.flaw() {
            None => Ok(planned),
            Some(flaw) => Err(Refusal::of_phase(
                self.phase,
                RefusalReason::PlanFlawed { flaw },
            )),
        }
    }
}

/// The input of a phase.
pub(crate) trait Input {
    /// Encodes the input, reads it back, and checks that it is valid.
    fn validate(&mut self, run_timeouts: Timeouts) -> Result<ValidInput, Refusal>;

    /// Returns the phase as it stands in a plan, with its summary and these effects.
    fn plan(
        &self,
        bytes: &[u8],
        presented: PlannedPhase,
        effects: &Effects,
    ) -> Result<PlannedPhase, Refusal>;
}

/// An input that was read back from its own bytes and is valid.
#[derive(Debug)]
pub(crate) struct ValidInput {
    /// Canonical JSON: the bytes that are hashed, approved and performed.
    pub(crate) bytes: Arc<Vec<u8>>,
    /// How long the phase may take.
    pub(crate) timeouts: Timeouts,
}

/// Calls a simulator: takes the bytes of the input, and returns those of the output.
pub(crate) type Simulation<'f> =
    dyn FnMut(&[u8], &mut Effects) -> Result<Vec<u8>, NotPerformed> + 'f;

/// Calls a live adapter: takes the bytes of the input, and returns those of the output.
pub(crate) type Execution<'f> =
    dyn FnMut(&[u8], &mut PhaseTx<'_>) -> Result<Vec<u8>, NotPerformed> + 'f;

/// Why an adapter or a simulator returned no output.
#[derive(Debug)]
pub enum NotPerformed {
    /// It returned an error, or its input could not be decoded.
    Failed(Failure),
    /// Its output cannot be encoded and read back.
    Output(NotCanonical),
}

impl From<NotPerformed> for RollbackCause {
    fn from(error: NotPerformed) -> Self {
        match error {
            NotPerformed::Failed(failure) => RollbackCause::Failed(failure),
            NotPerformed::Output(error) => RollbackCause::Output(error),
        }
    }
}

/// A phase that was performed.
#[derive(Debug)]
pub struct Done<E> {
    /// The output as canonical JSON; in a live run, exactly as the journal stores it.
    pub(crate) output: Vec<u8>,
    pub(crate) evidence: E,
}
