use std::time::SystemTime;

use crate::authority::{Attestation, Decision};
use crate::outcome::ApprovalRefusal;
use crate::plan::Plan;

/// An attestation, and the phase for which the authority was asked.
#[derive(Debug)]
pub(super) struct VerifiedApproval {
    attestation: Attestation,
    phase: String,
}

impl VerifiedApproval {
    pub(super) fn new(attestation: Attestation, phase: &str) -> Self {
        let phase = phase.to_owned();
        VerifiedApproval { attestation, phase }
    }

    pub(super) fn attestation(&self) -> &Attestation {
        &self.attestation
    }

    /// Returns the phase for which the authority was asked.
    pub(super) fn phase(&self) -> &str {
        &self.phase
    }

    /// Checks the approval against the run, for `phase` and `gate`, at the moment `now`.
    pub(super) fn check(
        &self,
        phase: &str,
        gate: &str,
        plan: &Plan,
        now: SystemTime,
    ) -> Result<(), ApprovalRefusal> {
        let statement = self.attestation.statement();
        if statement.decision != Decision::Approve {
            return Err(ApprovalRefusal::Rejected {
                by: self.attestation.approver().to_owned(),
                comment: statement.comment.clone(),
            });
        }
        if self.phase != phase {
            return Err(ApprovalRefusal::AnotherPhase {
                asked: self.phase.clone(),
            });
        }
        if statement.gate != gate {
            return Err(ApprovalRefusal::AnotherGate {
                attested: statement.gate.clone(),
            });
        }
        if statement.plan != plan.digest() {
            return Err(ApprovalRefusal::AnotherPlan {
                attested: statement.plan,
                running: plan.digest(),
            });
        }
        if statement.target != *plan.target() {
            return Err(ApprovalRefusal::AnotherTarget {
                attested: Box::new(statement.target.clone()),
                planned: Box::new(plan.target().clone()),
            });
        }
        if statement.expires <= now {
            return Err(ApprovalRefusal::Expired {
                at: statement.expires,
            });
        }
        Ok(())
    }
}
