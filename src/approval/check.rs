use std::time::SystemTime;

use super::Attestation;
use crate::outcome::ApprovalRefusal;
use crate::plan::Plan;

/// Checks what was attested against the run, at the moment `now`.
pub(crate) fn check(
    attestation: &Attestation,
    gate: &str,
    plan: &Plan,
    now: SystemTime,
) -> Result<(), ApprovalRefusal> {
    let statement = attestation.statement();
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
