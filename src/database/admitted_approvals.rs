use std::fmt;
use std::time::SystemTime;

use ::postgres::types::Type;
use ::postgres::{Client, Row};

use super::connector::Connector;
use crate::authority::{
    ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied, Evidence,
};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::outcome::{BoxError, Remedy, message_of, server_hint};

/// The approvals that an operator has [admitted](crate::operator::Operator::admit_approval) to the database, where
/// they were verified: the program that performs a plan needs no keys, no policy, and no contact with the approvers.
///
/// The database is queried each time, in a session of its own, so that a gate may be approved while the phases before
/// it are performed.
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

    /// Returns the approval of the gate that lasts longest. If there is none, or there is a rejection, returns the
    /// denial with its reason.
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
        // Includes an expired approval: a phase that has spent it already is not performed again.
        let approvals = rows.into_iter().filter(|row| row.gate == request.gate());
        if let Some(longest) = approvals.max_by_key(|row| row.expires) {
            return Ok(Ok(longest));
        }
        let (role, is_admitted) = read_standing(&mut client, plan)?;
        let (planned, gate) = (request.target().role(), request.gate());
        let (why, hint) = if is_admitted {
            (
                format!("no approval of gate `{gate}` of plan {plan} is admitted in the database"),
                "Have it approved, and an operator admit that: `Operator::admit_approval`.",
            )
        } else if role == planned {
            (
                format!("plan {plan} is not admitted in the database, and so no approval of it is"),
                "An operator admits it: `Operator::admit_plan`.",
            )
        } else {
            (
                format!(
                    "what was admitted of plan {plan} is read as role `{}`, and the plan is for role `{}`",
                    Printable(&role),
                    Printable(planned)
                ),
                "Give `AdmittedApprovals::through` a connector of that role, or make the plan as the role that performs it.",
            )
        };
        Ok(Err(Denied::new(why).with_hint(hint)))
    }
}

impl Authority for AdmittedApprovals {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let unreadable = |error: BoxError| {
            let said = message_of(&*error);
            let denied = Denied::new(format!(
                "what was admitted of plan {} cannot be read: {said}",
                request.plan()
            ));
            match error.remedy().or_else(|| server_hint(&*error)) {
                Some(hint) => denied.with_hint(hint),
                None => denied,
            }
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
            ApprovalStatement {
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

/// An approval or a rejection that an operator has admitted.
struct AdmittedRow {
    rejects: bool,
    nonce: String,
    gate: String,
    approver: String,
    admitted_at: SystemTime,
    /// `None` for a rejection, which does not expire.
    expires: Option<SystemTime>,
    comment: String,
    /// The evidence, as JSON.
    evidence: Option<String>,
}

/// Reads the role of this session, and whether the plan is admitted, as far as that role may see it.
fn read_standing(client: &mut Client, plan: Digest) -> Result<(String, bool), ::postgres::Error> {
    let rows = client.query_typed(
        "SELECT session_user::pg_catalog.text, EXISTS (SELECT FROM phasegate.progress_of($1))",
        &[(&plan.as_bytes().as_slice(), Type::BYTEA)],
    )?;
    // The query always returns one row.
    let row = rows.first();
    row.map_or(Ok((String::new(), false)), |row| {
        Ok((row.try_get(0)?, row.try_get(1)?))
    })
}

/// Reads the approvals and rejections that were admitted for this plan.
fn read_admitted(client: &mut Client, plan: Digest) -> Result<Vec<AdmittedRow>, ::postgres::Error> {
    let read = |row: &Row| -> Result<AdmittedRow, ::postgres::Error> {
        Ok(AdmittedRow {
            rejects: row.try_get::<_, String>("decision")? != "approve",
            nonce: row.try_get("nonce")?,
            gate: row.try_get("gate")?,
            approver: row.try_get("approver")?,
            admitted_at: row.try_get("admitted_at")?,
            expires: row.try_get("expires")?,
            comment: row.try_get("comment")?,
            evidence: row.try_get("evidence")?,
        })
    };
    // In one message: a pooler in transaction mode does not keep a statement that was prepared before.
    let rows = client.query_typed(
        "SELECT decision, nonce, gate, approver, admitted_at, expires, comment, evidence \
         FROM phasegate.approvals_of($1)",
        &[(&plan.as_bytes().as_slice(), Type::BYTEA)],
    )?;
    rows.iter().map(read).collect()
}
