use serde::{Deserialize, Serialize};

/// The signed statements, and the rules by which they were verified: everything that a third party needs to verify
/// them again.
///
/// Evidence is data and proves nothing by itself. The journal stores it with its approval, every text byte for byte,
/// so that `ssh-keygen -Y verify` can verify it.
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

impl Evidence {
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
