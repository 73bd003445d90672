use std::time::{Duration, UNIX_EPOCH};

use crate::{
    Plan,
    approval::{ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied},
    operator::{Operator, OperatorError},
};

/// An authority that approves everything, without expiry. Never use it outside of a test.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApprovesEverything;

/// A century after the clock's beginning.
const NEVER: Duration = Duration::from_hours(24 * 36_525);

impl ApprovesEverything {
    /// Admits a plan to the database, with every approval that [`ApprovesEverything`] would attest to.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call.
    pub fn admit(operator: &mut Operator, plan: &Plan) -> Result<(), OperatorError> {
        let _ = operator.admit_plan(plan)?;
        for phase in plan.phases() {
            for gate in phase.gates() {
                operator.admit_approval(&yes(&ApprovalRequest {
                    gate,
                    phase: phase.name(),
                    pipeline: plan.pipeline(),
                    plan: plan.digest(),
                    target: plan.target(),
                }))?;
            }
        }
        Ok(())
    }
}

impl Authority for ApprovesEverything {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        Ok(yes(request))
    }
}

/// Attests to a gate, without expiry.
pub(super) fn yes(request: &ApprovalRequest<'_>) -> Attestation {
    let statement = ApprovalStatement {
        decision: Decision::Approve,
        valid_from: UNIX_EPOCH,
        gate: request.gate().to_owned(),
        plan: request.plan(),
        target: request.target().clone(),
        expires: UNIX_EPOCH + NEVER,
        nonce: format!(
            "{} for {} of {}",
            request.gate(),
            request.phase(),
            request.plan()
        ),
        comment: "a double said yes".to_owned(),
    };
    Attestation::assert_verified(statement, "a double")
}
