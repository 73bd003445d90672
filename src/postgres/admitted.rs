use std::time::SystemTime;

use ::postgres::types::Type;
use ::postgres::{Client, Row};

use crate::base::digest::Digest;

/// An approval or a rejection that an operator has admitted.
pub(crate) struct AdmittedRow {
    pub(crate) rejects: bool,
    pub(crate) nonce: String,
    pub(crate) gate: String,
    pub(crate) approver: String,
    pub(crate) admitted_at: SystemTime,
    /// None for a rejection, which lasts.
    pub(crate) expires: Option<SystemTime>,
    pub(crate) comment: String,
    /// As JSON.
    pub(crate) evidence: Option<String>,
}

/// Reads the role of this session, and whether the plan is admitted, as far as that role may see it.
pub(crate) fn read_standing(
    client: &mut Client,
    plan: Digest,
) -> Result<(String, bool), ::postgres::Error> {
    let rows = client.query_typed(
        "SELECT session_user::pg_catalog.text, EXISTS (SELECT FROM phasegate.progress_of($1))",
        &[(&plan.as_bytes().as_slice(), Type::BYTEA)],
    )?;
    // One row, always.
    let row = rows.first();
    row.map_or(Ok((String::new(), false)), |row| {
        Ok((row.try_get(0)?, row.try_get(1)?))
    })
}

/// What was admitted of this plan.
pub(crate) fn read_admitted(
    client: &mut Client,
    plan: Digest,
) -> Result<Vec<AdmittedRow>, ::postgres::Error> {
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
    // In one message: behind a pool in transaction mode, a statement that was prepared before is not there.
    let rows = client.query_typed(
        "SELECT decision, nonce, gate, approver, admitted_at, expires, comment, evidence \
         FROM phasegate.approvals_of($1)",
        &[(&plan.as_bytes().as_slice(), Type::BYTEA)],
    )?;
    rows.iter().map(read).collect()
}
