//! Approvals: requests, authorities, and their attestations.
//!
//! An [`Authority`] turns evidence into an [`Attestation`]; the engine checks that against the run and creates an
//! [`Approval`](crate::Approval) from it. How the authority gets the evidence (from a form, a ticket, a signature) is
//! up to its implementation. `SignedApprovals`, with the feature `ssh`, verifies signatures;
//! [`AdmittedApprovals`](crate::approval::AdmittedApprovals) reads from the database what an operator has admitted;
//! [`UnsignedApprovals`] verifies nothing, as its name tells.

mod attestation;
mod evidence;
mod gate;
#[cfg(feature = "ssh")]
mod ssh;
mod statement;
mod unsigned;

pub use attestation::{ApprovalRequest, Attestation, Authority, Denied};
pub use evidence::{Evidence, EvidenceDigests, SignedStatement, StatementDigests};
pub use gate::{Gate, Sg1, Sg2};
#[cfg(feature = "ssh")]
pub use ssh::{
    AllowedSigners, AllowedSignersError, ApprovalStatementBuilder, Demand, GateRule, NAMESPACE,
    ParseApprovalError, Policy, PolicyBuilder, PolicyError, RejectedApprovalFile, RevokedKeys,
    RevokedKeysError, SignedApprovals, SignerFlaw, UnfitKey, VerifyApprovalError,
};
pub use statement::{ApprovalStatement, Decision};
pub use unsigned::UnsignedApprovals;
