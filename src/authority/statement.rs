use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::plan::Target;

/// What an approver says to a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may be performed.
    Approve,
    /// It may not, even if others have approved it.
    Reject,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Approve => "approve",
            Decision::Reject => "reject",
        })
    }
}

/// What is approved: one gate of one plan on one database, until some time. Or rejects.
///
/// A statement is data and proves nothing; [`Attestation::assert_verified`](super::Attestation) is
/// where a caller says that it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalStatement {
    /// Approved or rejected.
    pub decision: Decision,
    /// The gate's name.
    pub gate: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// The database.
    pub target: Target,
    /// From when on the approval means something: when it was made.
    pub valid_from: SystemTime,
    /// From when on the approval means nothing: no phase is opened by it, and none that it has opened commits.
    pub expires: SystemTime,
    /// What makes this approval this one, among all that say the same. It is what the database admits
    /// and spends.
    pub nonce: String,
    /// For people.
    pub comment: String,
}
