use std::time::{Duration, SystemTime};

use crate::{ApprovalRequest, Attestation, Authority, Denied, Statement};

/// Never outside a test: an authority that says yes to everything, for a minute.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApprovesEverything;

impl Authority for ApprovesEverything {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let statement = Statement {
            gate: request.gate().to_owned(),
            plan: request.plan(),
            target: request.target().clone(),
            expires: SystemTime::now() + Duration::from_mins(1),
            nonce: format!("{} for {}", request.gate(), request.phase()),
            comment: "a double said yes".to_owned(),
        };
        Ok(Attestation::assert_verified(statement, "a double"))
    }
}
