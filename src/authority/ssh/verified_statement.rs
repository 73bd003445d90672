use std::time::SystemTime;

use super::allowed_signers::Person;
use crate::authority::{ApprovalStatement, Decision, SignedStatement};

/// A statement and its signature, as they were received.
pub(super) struct SignedText {
    pub(super) statement: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// A statement that was verified at some moment.
pub(super) struct VerifiedStatement {
    pub(super) statement: ApprovalStatement,
    pub(super) person: Person,
    pub(super) signed: SignedStatement,
    pub(super) over: bool,
}

impl VerifiedStatement {
    pub(super) fn approves(&self, gate: &str) -> bool {
        self.statement.decision == Decision::Approve && self.statement.gate == gate
    }

    pub(super) fn rejects(&self) -> bool {
        self.statement.decision == Decision::Reject
    }

    /// Returns the order in which statements count: the one that lasts longest first. The order of two equal ones must
    /// be the same for every caller.
    pub(super) fn rank(&self) -> (SystemTime, &str, &str) {
        let statement = &self.statement;
        (statement.expires, &statement.nonce, &self.signed.approver)
    }
}
