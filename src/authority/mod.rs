//! Approvals: what is asked, who is asked, and what they attest to.
//!
//! An [`Authority`] turns evidence into an [`Attestation`]; the engine checks that against the run
//! and makes the witness [`Approval`](crate::Approval) of it. How evidence is had (a form, a
//! ticket, a signature) is the authority's business. `SignedApprovals`, with the feature `ssh`, verifies
//! signatures; [`AdmittedApprovals`](crate::approval::AdmittedApprovals) asks the database what an operator has admitted;
//! [`UnsignedApprovals`] says in its name what it is.

mod attestation;
mod evidence;
mod gate;
#[cfg(feature = "ssh")]
mod ssh;
mod statement;
mod unsigned;

pub use attestation::{ApprovalRequest, Attestation, Authority, Denied};
pub use evidence::{Evidence, SignedStatement};
pub use gate::{Gate, Sg1, Sg2};
#[cfg(feature = "ssh")]
pub use ssh::{
    AllowedSigners, AllowedSignersError, ApprovalStatementBuilder, GateRule, NAMESPACE,
    ParseApprovalError, Policy, PolicyBuilder, PolicyError, RejectedApprovalFile, RevokedKeys,
    RevokedKeysError, SignedApprovals, SignerFlaw, UnfitKey, VerifyApprovalError,
};
pub use statement::{ApprovalStatement, Decision};
pub use unsigned::UnsignedApprovals;
