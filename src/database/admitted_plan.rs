//! Reads an admitted plan from the database.

use ::postgres::Client;

use crate::base::digest::Digest;
use crate::outcome::{message_of, server_hint};
use crate::plan::{Plan, PlanError};

/// Why an admitted plan was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmittedPlanError {
    /// The plan is not admitted in this database, or the session's role may not read it.
    #[error("plan {0} is not admitted in this database, or not for this role to read")]
    NotAdmitted(Digest),
    /// The database has other bytes than the digest names.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The server refused the query, or the connection is lost.
    #[error("the plan was not read: {}", message_of(.0))]
    Database(::postgres::Error),
}

impl AdmittedPlanError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AdmittedPlanError::NotAdmitted(_) => "plan_not_admitted_here",
            AdmittedPlanError::Plan(error) => error.code(),
            AdmittedPlanError::Database(_) => "admitted_plan_not_read",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            AdmittedPlanError::NotAdmitted(_) => Some(
                "Connect to the plan's database, as the role of the plan, an operator or an auditor; an operator admits the plan."
                    .to_owned(),
            ),
            AdmittedPlanError::Plan(error) => error.hint(),
            AdmittedPlanError::Database(error) => server_hint(error),
        }
    }
}

impl Plan {
    /// Reads the admitted plan with this digest from the database: for a run, a report or an audit where the plan's file
    /// is not at hand. The plan's own role, operators and auditors may read it.
    ///
    /// `approved` must come from the approvers, as for [`Plan::from_saved`]; the bytes are compared with it here.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is not admitted, if its bytes do not have that digest, or if the query fails.
    pub fn admitted(client: &mut Client, approved: Digest) -> Result<Self, AdmittedPlanError> {
        let row = client
            .query_one(
                "SELECT phasegate.plan_bytes($1)",
                &[&approved.as_bytes().as_slice()],
            )
            .and_then(|row| row.try_get::<_, Option<Vec<u8>>>(0))
            .map_err(AdmittedPlanError::Database)?;
        let bytes = row.ok_or(AdmittedPlanError::NotAdmitted(approved))?;
        Ok(Plan::from_saved(&bytes, approved)?)
    }
}
