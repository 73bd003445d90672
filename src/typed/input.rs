//! The input of a phase in the form of the engine: bytes, and the phase's name, summary and timeouts.

use std::sync::Arc;

use super::spec::{PhaseSpec, full_name};
use crate::base::canonical::{self, NotCanonical};
use crate::engine::{Input, Timeouts, ValidInput};
use crate::outcome::{Refusal, RefusalReason};
use crate::plan::{Effects, PlannedPhase};

/// The input of a phase. A large one is in memory once: the value that was given is dropped when it is encoded.
pub(in crate::typed) enum SpecInput<S> {
    Given(S),
    /// After the first attempt has encoded it.
    Encoded {
        /// The phase's name, from the value that was given.
        name: String,
        bytes: Arc<Vec<u8>>,
    },
}

impl<S: PhaseSpec> SpecInput<S> {
    /// Returns the phase's name, with its instance.
    pub(in crate::typed) fn name(&self) -> String {
        match self {
            SpecInput::Given(spec) => full_name(spec),
            SpecInput::Encoded { name, .. } => name.clone(),
        }
    }

    fn encode(&mut self) -> Result<Arc<Vec<u8>>, NotCanonical> {
        match self {
            SpecInput::Given(spec) => {
                let (name, bytes) = (full_name(spec), Arc::new(canonical::encode(spec)?));
                *self = SpecInput::Encoded {
                    name,
                    bytes: Arc::clone(&bytes),
                };
                Ok(bytes)
            }
            SpecInput::Encoded { bytes, .. } => Ok(Arc::clone(bytes)),
        }
    }
}

impl<S: PhaseSpec> Input for SpecInput<S> {
    fn validate(&mut self, run_timeouts: Timeouts) -> Result<ValidInput, Refusal> {
        let name = self.name();
        let refused = |reason| Refusal::of_phase(&name, reason);
        let not_canonical = |error| refused(RefusalReason::NotCanonical(error));
        let bytes = self.encode().map_err(not_canonical)?;
        let spec: S = canonical::decode_stable(&bytes).map_err(not_canonical)?;
        let decoded = full_name(&spec);
        if decoded != name {
            return Err(refused(RefusalReason::NameNotPlanned { decoded }));
        }
        spec.validate()
            .map_err(|source| refused(RefusalReason::Invalid(source)))?;
        let timeouts = spec.timeouts(run_timeouts);
        Ok(ValidInput { bytes, timeouts })
    }

    fn plan(
        &self,
        bytes: &[u8],
        presented: PlannedPhase,
        effects: &Effects,
    ) -> Result<PlannedPhase, Refusal> {
        // Decoded from the bytes: the adapter or simulator may have changed the value that it was given.
        let spec: S = canonical::decode(bytes)
            .map_err(|error| Refusal::of_phase(&self.name(), RefusalReason::NotCanonical(error)))?;
        let tolerance = |table: &str| spec.tolerance(table);
        Ok(presented.with(spec.summary(), effects, tolerance, S::PERSONAL))
    }
}
