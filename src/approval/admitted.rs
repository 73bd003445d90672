use std::fmt;
use std::time::SystemTime;

use super::{ApprovalRequest, Attestation, Authority, Decision, Denied, Evidence, Statement};
use crate::outcome::{Foreign, describe};
use crate::postgres::{AdmittedRow, Connector, read_admitted};

/// What an operator has [admitted](crate::Operator::admit_approval) to the database, where it was
/// judged: who performs a plan needs no keys, no policy, and no word of the approvers.
///
/// The database is asked each time, in a session of its own, so that a gate may be approved while the
/// phases before it are performed.
pub struct AdmittedApprovals {
    connector: Box<dyn Connector>,
}

impl AdmittedApprovals {
    /// Reads through sessions of this connector, as the role that performs the plan.
    pub fn through(connector: impl Connector + 'static) -> Self {
        AdmittedApprovals {
            connector: Box::new(connector),
        }
    }

    fn read(&mut self, request: &ApprovalRequest<'_>) -> Result<Vec<AdmittedRow>, Foreign> {
        let (mut client, _) = self.connector.connect()?.into_parts();
        read_admitted(&mut client, request.plan()).map_err(Into::into)
    }
}

impl Authority for AdmittedApprovals {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let unreadable = |error: Foreign| {
            let said = describe(&*error);
            Denied::new(format!(
                "what was admitted of plan {} cannot be read: {said}",
                request.plan()
            ))
        };
        let rows = self.read(request).map_err(unreadable)?;
        if let Some(row) = rows.iter().find(|row| row.rejects) {
            return Err(Denied::rejected(&*row.approver, &*row.comment));
        }
        let mut admitted = rows.into_iter().filter(|row| row.gate == request.gate());
        let first = admitted.next().ok_or_else(|| {
            Denied::new(format!(
                "no approval of gate `{}` of plan {} is admitted in the database; have it approved, and an operator admit that: `Operator::admit_approval`",
                request.gate(),
                request.plan()
            ))
        })?;
        // One that has expired too: a phase that has spent it already is not performed again.
        let longest = admitted.fold(first, |one, other| {
            if other.expires > one.expires {
                other
            } else {
                one
            }
        });
        let evidence = longest
            .evidence
            .as_deref()
            .map(serde_json::from_str::<Evidence>);
        let evidence = evidence
            .transpose()
            .map_err(|error| unreadable(error.into()))?;
        let attestation = Attestation::assert_verified(
            Statement {
                decision: Decision::Approve,
                gate: longest.gate,
                plan: request.plan(),
                target: request.target().clone(),
                valid_from: longest.admitted_at,
                expires: longest.expires.unwrap_or(SystemTime::UNIX_EPOCH),
                nonce: longest.nonce,
                comment: longest.comment,
            },
            longest.approver,
        );
        Ok(match evidence {
            Some(evidence) => attestation.with_evidence(evidence),
            None => attestation,
        })
    }
}

impl fmt::Debug for AdmittedApprovals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdmittedApprovals(..)")
    }
}
