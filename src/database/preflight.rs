//! Asks the server for everything that stands between a plan and its run.

use std::collections::BTreeMap;

use ::postgres::Client;
use serde::Deserialize;

use crate::base::digest::Digest;
use crate::outcome::BoxError;

/// What the server found about a plan.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Preflighted {
    /// `None` if the plan is not admitted here, or not for the session's role to read.
    pub(crate) admitted: Option<AdmittedBy>,
    /// The number of committed phases.
    #[serde(default)]
    pub(crate) committed: usize,
    /// Each check that was made, with the error that it raised.
    #[serde(default)]
    pub(crate) checks: BTreeMap<String, Option<Raised>>,
    /// In seconds.
    #[serde(default)]
    pub(crate) lease_left: Option<f64>,
    /// Until when each gate is approved.
    #[serde(default)]
    pub(crate) approvals: BTreeMap<String, String>,
}

/// Who admitted the plan, and when.
#[derive(Debug, Deserialize)]
pub(crate) struct AdmittedBy {
    pub(crate) by: String,
    pub(crate) at: String,
}

/// An error that a check raised.
#[derive(Debug, Deserialize)]
pub(crate) struct Raised {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Asks the server, in a transaction that is rolled back.
pub(crate) fn preflight(client: &mut Client, plan: Digest) -> Result<Preflighted, BoxError> {
    let mut tx = client.build_transaction().start()?;
    let row = tx.query_one(
        "SELECT phasegate.preflight($1)",
        &[&plan.as_bytes().as_slice()],
    )?;
    let found: String = row.try_get(0)?;
    tx.rollback()?;
    Ok(serde_json::from_str(&found)?)
}
