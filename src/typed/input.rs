//! The input of a phase in the form of the engine: bytes, and the phase's name, summary and timeouts.

use super::spec::{PhaseSpec, full_name};
use crate::base::canonical;
use crate::engine::{Input, Timeouts, ValidInput};
use crate::outcome::{Refusal, RefusalReason};
use crate::plan::{Effects, PlannedPhase};

/// The input of the phase of this name.
pub(in crate::typed) struct SpecInput<'s, S> {
    pub(in crate::typed) phase: &'s str,
    pub(in crate::typed) spec: &'s S,
}

impl<S: PhaseSpec> SpecInput<'_, S> {
    fn not_canonical(&self, source: canonical::NotCanonical) -> Refusal {
        Refusal::of_phase(self.phase, RefusalReason::NotCanonical(source))
    }
}

impl<S: PhaseSpec> Input for SpecInput<'_, S> {
    fn validate(&self, run_timeouts: Timeouts) -> Result<ValidInput, Refusal> {
        let read = canonical::round_trip(self.spec);
        let (bytes, spec) = read.map_err(|error| self.not_canonical(error))?;
        let decoded = full_name(&spec);
        if decoded != self.phase {
            return Err(Refusal::of_phase(
                self.phase,
                RefusalReason::NameNotPlanned { decoded },
            ));
        }
        spec.validate()
            .map_err(|source| Refusal::of_phase(self.phase, RefusalReason::Invalid(source)))?;
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
        let spec: S = canonical::decode(bytes).map_err(|error| self.not_canonical(error))?;
        let tolerance = |table: &str| spec.tolerance(table);
        Ok(presented.with(spec.summary(), effects, tolerance, S::PERSONAL))
    }
}
