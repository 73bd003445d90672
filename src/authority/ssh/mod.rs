//! Approvals that are signed with SSH keys: statements as files, who may sign, and whose word counts.
//!
//! A statement is a file; `ssh-keygen -Y sign -n phasegate -f KEY FILE` signs it, and leaves
//! `FILE.sig`. [`SignedApprovals`] verifies the two against [`AllowedSigners`], and judges by a
//! [`Policy`] whether a gate is approved. The cryptography is the crate `ssh-key`'s.

mod allowed_signers;
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
pub use key::UnfitKey;
pub use policy::{GateRule, Policy, PolicyBuilder, PolicyError};
pub use refused::VerifyApprovalError;
pub use revoked_keys::{RevokedKeys, RevokedKeysError};
pub use signed::{RejectedApprovalFile, SignedApprovals};
pub use statement_file::{ApprovalStatementBuilder, ParseApprovalError};

/// What approvals are signed as: `ssh-keygen -Y sign -n phasegate`.
pub const NAMESPACE: &str = "phasegate";
