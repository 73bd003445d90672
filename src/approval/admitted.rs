use std::fmt;
use std::time::SystemTime;

use super::{ApprovalRequest, Attestation, Authority, Decision, Denied, Evidence, Statement};
use crate::base::printable::Printable;
use crate::outcome::{BoxError, describe};
use crate::postgres::{AdmittedRow, Connector, read_admitted, read_standing};

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

    /// Returns the approval of the gate that lasts longest; where there is none, or a rejection, the denial that says why.
    fn read(
        &mut self,
        request: &ApprovalRequest<'_>,
    ) -> Result<Result<AdmittedRow, Denied>, BoxError> {
        let (mut client, _) = self.connector.connect()?.into_parts();
        let plan = request.plan();
        let rows = read_admitted(&mut client, plan)?;
        if let Some(row) = rows.iter().find(|row| row.rejects) {
            return Ok(Err(Denied::rejected(&*row.approver, &*row.comment)));
        }
        // One that has expired too: a phase that has spent it already is not performed again.
        let approvals = rows.into_iter().filter(|row| row.gate == request.gate());
        if let Some(longest) = approvals.max_by_key(|row| row.expires) {
            return Ok(Ok(longest));
        }
        let (role, is_admitted) = read_standing(&mut client, plan)?;
        let (planned, gate) = (request.target().role(), request.gate());
        let why = if is_admitted {
            format!(
                "no approval of gate `{gate}` of plan {plan} is admitted in the database; have it approved, and an operator admit that: `Operator::admit_approval`"
            )
        } else if role == planned {
            format!(
                "plan {plan} is not admitted in the database, and so no approval of it is; an operator admits it: `Operator::admit_plan`"
            )
        } else {
            format!(
                "what was admitted of plan {plan} is read as role `{}`, and the plan is for role `{}`; give `AdmittedApprovals::through` a connector of that role, or make the plan as the role that performs it",
                Printable(&role),
                Printable(planned)
            )
        };
        Ok(Err(Denied::new(why)))
    }
}

impl Authority for AdmittedApprovals {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let unreadable = |error: BoxError| {
            let said = describe(&*error);
            Denied::new(format!(
                "what was admitted of plan {} cannot be read: {said}",
                request.plan()
            ))
        };
        let longest = self.read(request).map_err(unreadable)??;
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
