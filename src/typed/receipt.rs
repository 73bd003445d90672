//! The proof that a phase was performed.

use std::fmt;

use super::brand::Brand;
use super::mode::{Live, Mode, Rehearsal, sealed};
use super::spec::PhaseSpec;
use crate::base::canonical::{self, NotCanonical};
use crate::engine::RehearsedPhase;
use crate::outcome::Committed;

/// Holding one proves that phase `S` was performed in this run, in mode `M`; in a live run, that its transaction was
/// committed.
///
/// Only performing the phase returns one. The receipt of a dry run or of a rehearsal opens no live phase: the mode is
/// in the type. A receipt cannot leave its run or be cloned; phases that come after it borrow it.
pub struct Receipt<'run, S: PhaseSpec, M: Mode> {
    phase: String,
    output: S::Output,
    bytes: Vec<u8>,
    evidence: <M as sealed::Mode>::Evidence,
    _brand: Brand<'run>,
}

impl<'run, S: PhaseSpec, M: Mode> Receipt<'run, S, M> {
    /// Called only by [`Run`](crate::Run), after the engine has performed the phase.
    pub(in crate::typed) fn mint(
        phase: String,
        bytes: Vec<u8>,
        evidence: <M as sealed::Mode>::Evidence,
        brand: Brand<'run>,
    ) -> Result<Self, NotCanonical> {
        Ok(Receipt {
            phase,
            output: canonical::decode(&bytes)?,
            bytes,
            evidence,
            _brand: brand,
        })
    }

    /// Decodes the output from the bytes that the journal has: a change of the decoded value by the caller has no
    /// effect.
    pub(in crate::typed) fn decode(&self) -> Result<S::Output, NotCanonical> {
        canonical::decode(&self.bytes)
    }

    /// Returns the phase's name in the plan.
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// Returns the phase's output, as decoded from the bytes that the journal has.
    pub fn output(&self) -> &S::Output {
        &self.output
    }

    /// Returns the phase's output by value: the receipt is consumed, and the output may leave the run.
    pub fn into_output(self) -> S::Output {
        self.output
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Live> {
    /// Returns the committed transaction.
    pub fn committed(&self) -> &Committed {
        &self.evidence
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Rehearsal> {
    /// Returns the measured effects of the phase, which are rolled back when the rehearsal ends.
    pub fn rehearsed(&self) -> &RehearsedPhase {
        &self.evidence
    }
}

impl<S: PhaseSpec, M: Mode> fmt::Debug for Receipt<'_, S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Receipt({}, {}, {:?})",
            self.phase,
            M::NAME,
            self.evidence
        )
    }
}
