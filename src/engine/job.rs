//! What the engine is given of a phase, and what it returns: names and bytes.

use super::timeouts::Timeouts;
use crate::base::canonical::NotCanonical;
use crate::database::PhaseTx;
use crate::outcome::{Failure, Refusal, RefusalReason, RollbackCause};
use crate::plan::{Effects, PlannedPhase};

/// A phase to be performed. Of its type the engine knows nothing: that is behind [`Input`], and in the function that
/// performs it.
#[allow(missing_debug_implementations)] // sealed: no other crate can hold one
pub struct Job<'j> {
    /// The phase's name, with its instance.
    pub(crate) phase: &'j str,
    /// The gates that it is behind, in order.
    pub(crate) gates: &'j [&'static str],
    /// The phases whose receipts it was given.
    pub(crate) after: Vec<String>,
    pub(crate) input: &'j dyn Input,
}

impl Job<'_> {
    /// Returns the phase as it presents itself, with an input of these bytes.
    pub(super) fn presented(&self, bytes: &[u8]) -> PlannedPhase {
        PlannedPhase::presented(self.phase, self.gates, self.after.clone(), bytes)
    }

    /// Returns the phase as it stands in a plan, unless it says something of itself that a plan cannot hold.
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
    /// Encodes it, reads it back, and checks that it is valid.
    fn validate(&self, run_timeouts: Timeouts) -> Result<ValidInput, Refusal>;

    /// Returns the phase as it stands in a plan, with what it says of itself and these effects.
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
    /// Canonical JSON: what is hashed, approved and performed.
    pub(crate) bytes: Vec<u8>,
    /// How long the phase may take.
    pub(crate) timeouts: Timeouts,
}

/// Calls a simulator: with the bytes of the input, for those of the output.
pub(crate) type Simulation<'f> =
    dyn FnMut(&[u8], &mut Effects) -> Result<Vec<u8>, NotPerformed> + 'f;

/// Calls a live adapter: with the bytes of the input, for those of the output.
pub(crate) type Execution<'f> =
    dyn FnMut(&[u8], &mut PhaseTx<'_>) -> Result<Vec<u8>, NotPerformed> + 'f;

/// Why an adapter or a simulator left no output.
#[derive(Debug)]
pub enum NotPerformed {
    /// It returned an error, or its input could not be read.
    Failed(Failure),
    /// Its output cannot be kept and read back.
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
    /// Its output as canonical JSON; live, as the journal has it.
    pub(crate) output: Vec<u8>,
    pub(crate) evidence: E,
}
