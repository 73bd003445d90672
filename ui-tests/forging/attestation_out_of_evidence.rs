//! Evidence is data: it attests to nothing until a caller asserts that it was verified.

use phasegate::approval::{ApprovalStatement, Attestation, Evidence};

fn forged(statement: ApprovalStatement, evidence: Evidence) -> Attestation {
    Attestation {
        statement,
        approver: "ada".to_owned(),
        evidence: Some(evidence),
    }
}

fn main() {}
