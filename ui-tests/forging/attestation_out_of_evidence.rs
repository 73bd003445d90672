//! Evidence is data: it attests to nothing until somebody says that it was verified.

use phasegate::{Attestation, Evidence, Statement};

fn forged(statement: Statement, evidence: Evidence) -> Attestation {
    Attestation {
        statement,
        approver: "ada".to_owned(),
        evidence: Some(evidence),
    }
}

fn main() {}
