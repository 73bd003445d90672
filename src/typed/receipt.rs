//! The proof that a phase was performed.

use std::fmt;

use super::brand::Brand;
use super::mode::{Live, Mode, Rehearsal, sealed};
use super::spec::PhaseSpec;
use crate::base::canonical::{self, NotCanonical};
use crate::engine::RehearsedPhase;
use crate::outcome::Committed;

/// Holding one proves that phase `S` was performed in this run, in mode `M`; live, that its
/// transaction was committed.
///
/// Got from performing the phase, and from nothing else. The receipt of a dry run or of a rehearsal
/// opens nothing live: the mode is in the type. It cannot leave its run or be cloned; phases that come after it borrow
/// it.
pub struct Receipt<'run, S: PhaseSpec, M: Mode> {
    phase: String,
    output: S::Output,
    bytes: Vec<u8>,
    evidence: <M as sealed::Mode>::Evidence,
    _brand: Brand<'run>,
}

impl<'run, S: PhaseSpec, M: Mode> Receipt<'run, S, M> {
    /// Called by [`Run`](crate::Run) alone, once the engine has performed the phase.
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

    /// Reads the output from the bytes that the journal has: a change that a caller made to the decoded value has no effect.
    pub(in crate::typed) fn decode(&self) -> Result<S::Output, NotCanonical> {
        canonical::decode(&self.bytes)
    }

    /// The phase's name, as the plan has it.
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// Returns what the phase left, as decoded from the bytes that the journal has.
    pub fn output(&self) -> &S::Output {
        &self.output
    }

    /// What the phase left, for good: the proof is given up, the output may leave the run.
    pub fn into_output(self) -> S::Output {
        self.output
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Live> {
    /// The transaction that was committed.
    pub fn committed(&self) -> &Committed {
        &self.evidence
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Rehearsal> {
    /// What the phase did, as it was measured; it is rolled back when the rehearsal ends.
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
