//! Evidence is data: it attests to nothing until somebody says that it was verified.

use phasegate::{Attestation, Evidence, Statement};

fn forged(statement: Statement, evidence: Evidence) -> [Attestation; 2] {
    let by_literal = Attestation {
        statement,
        approver: "ada".to_owned(),
        evidence: Some(evidence.clone()),
    };
    [by_literal, Attestation::from(evidence)]
}

fn main() {}
