//! Approvals that are signed with SSH keys: statements as files, allowed signers, and the policies of gates.
//!
//! A statement is a file; `ssh-keygen -Y sign -n phasegate -f KEY FILE` signs it, and writes `FILE.sig`.
//! [`SignedApprovals`] verifies the two against [`AllowedSigners`], and decides by a [`Policy`] whether a gate is
//! approved. The cryptography is that of the crate `ssh-key`.

mod allowed_signers;
mod demand;
mod judging;
mod key;
mod moment;
mod policy;
mod printable;
mod quorum;
mod refused;
mod reverify;
mod revoked_keys;
mod signature;
mod signed;
mod statement_file;
mod verified_statement;

pub use allowed_signers::{AllowedSigners, AllowedSignersError, SignerFlaw};
pub use demand::Demand;
pub use key::UnfitKey;
pub use policy::{GateRule, Policy, PolicyBuilder, PolicyError};
pub use refused::VerifyApprovalError;
pub use revoked_keys::{RevokedKeys, RevokedKeysError};
pub use signed::{RejectedApprovalFile, SignedApprovals};
pub use statement_file::{ApprovalStatementBuilder, ParseApprovalError};

/// The namespace of the signatures: `ssh-keygen -Y sign -n phasegate`.
pub const NAMESPACE: &str = "phasegate";
