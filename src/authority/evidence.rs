use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// The signed statements, and the rules by which they were verified: everything that a third party needs to verify
/// them again.
///
/// Evidence is data and proves nothing by itself. The database stores it once, with its approval, every text byte for
/// byte, so that `ssh-keygen -Y verify` can verify it; the rows of the journal have its [`EvidenceDigests`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Evidence {
    /// The policy, as canonical JSON.
    pub policy: String,
    /// The file of allowed signers.
    pub allowed_signers: String,
    /// The file of revoked keys, if there was one.
    pub revoked_keys: Option<String>,
    /// The signed statements, with their signers.
    pub statements: Vec<SignedStatement>,
}

/// A statement, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignedStatement {
    /// The signer: the principal that the allowed signers name for the key.
    pub approver: String,
    /// The exact text that was signed.
    pub statement: String,
    /// The armored signature, as `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// The SHA-256 of each text of an [`Evidence`]. The journal's chain has them in the row of each phase that has spent the
/// approval, so that other evidence does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct EvidenceDigests {
    /// The digest of the policy.
    pub policy_sha256: Digest,
    /// The digest of the file of allowed signers.
    pub allowed_signers_sha256: Digest,
    /// The digest of the file of revoked keys, if there was one.
    pub revoked_keys_sha256: Option<Digest>,
    /// The digests of the signed statements, in order.
    pub statements: Vec<StatementDigests>,
}

/// The SHA-256 of each text of a [`SignedStatement`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct StatementDigests {
    /// The digest of the signer's name.
    pub approver_sha256: Digest,
    /// The digest of the text that was signed.
    pub statement_sha256: Digest,
    /// The digest of the signature.
    pub signature_sha256: Digest,
}

impl Evidence {
    /// Returns the digest of each text.
    #[must_use]
    pub fn digests(&self) -> EvidenceDigests {
        let sha256 = |text: &str| Digest::of(text.as_bytes());
        let statements = self.statements.iter().map(|signed| StatementDigests {
            approver_sha256: sha256(&signed.approver),
            statement_sha256: sha256(&signed.statement),
            signature_sha256: sha256(&signed.signature),
        });
        EvidenceDigests {
            policy_sha256: sha256(&self.policy),
            allowed_signers_sha256: sha256(&self.allowed_signers),
            revoked_keys_sha256: self.revoked_keys.as_deref().map(sha256),
            statements: statements.collect(),
        }
    }

    /// Creates the evidence from statements, and the rules by which they were verified.
    pub fn new(
        policy: impl Into<String>,
        allowed_signers: impl Into<String>,
        revoked_keys: Option<String>,
        statements: Vec<SignedStatement>,
    ) -> Self {
        Evidence {
            policy: policy.into(),
            allowed_signers: allowed_signers.into(),
            revoked_keys,
            statements,
        }
    }
}

impl SignedStatement {
    /// Creates a statement of this text, signed by `approver`.
    pub fn new(
        approver: impl Into<String>,
        statement: impl Into<String>,
        signature: impl Into<String>,
    ) -> Self {
        SignedStatement {
            approver: approver.into(),
            statement: statement.into(),
            signature: signature.into(),
        }
    }
}
