use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::plan::Target;

/// An approver's decision on a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The plan may be performed.
    Approve,
    /// The plan may not be performed, even if others have approved it.
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

/// An approval of one gate of one plan on one database, until some time; or a rejection.
///
/// A statement is data and proves nothing; [`Attestation::assert_verified`](super::Attestation) is where a caller
/// asserts that it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalStatement {
    /// Approval or rejection.
    pub decision: Decision,
    /// The gate's name.
    pub gate: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// The target of the plan.
    pub target: Target,
    /// When the approval becomes valid: when it was made.
    pub valid_from: SystemTime,
    /// When the approval expires: after that it opens no phase, and no phase that it has opened commits.
    pub expires: SystemTime,
    /// Distinguishes this approval from any other with the same content. The database admits and spends the approval
    /// by its nonce.
    pub nonce: String,
    /// A comment, for people.
    pub comment: String,
}
