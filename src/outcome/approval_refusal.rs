use std::time::SystemTime;

use super::ago;
use crate::authority::Denied;
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::plan::Target;

/// Why a gate was not passed. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalRefusal {
    /// The authority did not attest to an approval.
    #[error("{0}")]
    Denied(Denied),
    /// An eligible approver has rejected the plan, for every gate.
    #[error(
        "{} has rejected the plan: {}",
        Printable(.by),
        Printable(.comment)
    )]
    Rejected {
        /// The name of that approver.
        by: String,
        /// The approver's comment.
        comment: String,
    },
    /// No phase that is still to be performed has this gate.
    #[error("no phase that is still to be performed asks for it")]
    NotNeeded,
    /// The phase has more gates than it was given approvals.
    #[error("no approval of it was given")]
    Missing,
    /// The authority was asked about another phase.
    #[error("the approval was asked for when phase `{asked}` was next")]
    AnotherPhase {
        /// The phase that the authority was asked about.
        asked: String,
    },
    /// The attestation is for another gate.
    #[error("the approval is for gate `{attested}`")]
    AnotherGate {
        /// The gate that was approved.
        attested: String,
    },
    /// The attestation is for another plan.
    #[error("the approval is for plan {attested}, and this is plan {running}")]
    AnotherPlan {
        /// The plan that was approved.
        attested: Digest,
        /// The plan that is running.
        running: Digest,
    },
    /// The attestation is for another database.
    #[error("the approval is for {attested}, and the plan is for {planned}")]
    AnotherTarget {
        /// The target that was approved.
        attested: Box<Target>,
        /// The target of the plan.
        planned: Box<Target>,
    },
    /// The database has no valid approval: none was admitted under this nonce, or it has expired by the server's
    /// clock.
    #[error("the database has not admitted this approval, or it has expired there")]
    NotAdmitted,
    /// The approval has expired.
    #[error("the approval expired {} ago", ago(*.at))]
    Expired {
        /// When it expired.
        at: SystemTime,
    },
}

impl From<Denied> for ApprovalRefusal {
    fn from(denied: Denied) -> Self {
        match denied.rejected {
            Some((by, comment)) => ApprovalRefusal::Rejected { by, comment },
            None => ApprovalRefusal::Denied(denied),
        }
    }
}
