use serde::{Deserialize, Serialize};

/// What was signed, and by what rules it was judged: all that a third party needs to judge it again.
///
/// Data, which proves nothing by itself. It stands in the journal beside the approval that it speaks
/// for, with every text as it was, byte for byte, so that `ssh-keygen -Y verify` can be asked.
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
    /// Who signed what.
    pub statements: Vec<SignedStatement>,
}

/// A statement, and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignedStatement {
    /// Who signed it: the principal that the allowed signers name for the key.
    pub approver: String,
    /// The exact text that was signed.
    pub statement: String,
    /// The signature, in the armor that `ssh-keygen -Y sign` gives it.
    pub signature: String,
}

impl Evidence {
    /// Statements that were judged by these rules.
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
    /// This text, signed by `approver`.
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
