//! Approvals that are signed with SSH keys: whose count, for what, until when, and that the database spends each once.
#![allow(clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;

mod admitted;
mod evidence;
mod hardware;
mod hostile;
mod interop;
mod keygen;
mod people;
mod policy;
mod refusals;
mod rejections;
mod signers;
mod spent;
mod statement;

use std::time::{Duration, SystemTime};

use phasegate::testing::SshSigner;
use phasegate::{
    Plan, Sg1, Sg2,
    approval::ApprovalStatement,
    plan::PlannedPhase,
    ssh::{AllowedSigners, GateRule, Policy, SignedApprovals, VerifyApprovalError},
};

const HOUR: Duration = Duration::from_hours(1);

/// A plan for no database, behind `SG_1` and `SG_2`.
fn plan() -> Plan {
    server::plan_for(&server::nowhere(), &pipeline::Draft::of(&["a"]))
}

/// One of these people for each gate, who may have made the plan.
fn anyone(people: &[&SshSigner]) -> Policy {
    let rule = || GateRule::of(people.iter().map(|one| one.name())).author_may_approve();
    let policy = Policy::builder().gate::<Sg1>(rule()).gate::<Sg2>(rule());
    policy.build().unwrap()
}

/// The allowed signers that have these people.
fn signers(people: &[&SshSigner]) -> AllowedSigners {
    let lines: String = people
        .iter()
        .map(|one| one.allowed_signers_line())
        .collect();
    AllowedSigners::parse(&lines).unwrap()
}

/// An approval of `SG_1` that lasts for an hour.
fn statement(plan: &Plan) -> ApprovalStatement {
    let statement = ApprovalStatement::for_gate::<Sg1>(plan)
        .lasting(HOUR)
        .comment("read it");
    statement.build().unwrap()
}

/// What is said to a statement that `ada` has signed, who may approve.
fn said(statement: &ApprovalStatement) -> Result<(), VerifyApprovalError> {
    let ada = SshSigner::new("ada");
    let mut approvals = SignedApprovals::new(&plan(), anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(statement).unwrap();
    approvals.add(&text, &signature)
}

/// A moment so many seconds from now.
fn in_seconds(seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let now = SystemTime::now();
    if seconds < 0 { now - by } else { now + by }
}

/// Approvals of every gate of `plan`, by each of these people, as many as whom it needs.
fn all_sign(plan: &Plan, people: &[&SshSigner]) -> SignedApprovals {
    let needs = u32::try_from(people.len()).unwrap();
    let rule = || GateRule::of(people.iter().map(|one| one.name())).needs(needs);
    let policy = Policy::builder()
        .gate::<Sg1>(rule().author_may_approve())
        .gate::<Sg2>(rule().author_may_approve());
    let mut approvals = SignedApprovals::new(plan, policy.build().unwrap(), signers(people));
    let mut gates: Vec<&String> = plan.phases().iter().flat_map(PlannedPhase::gates).collect();
    gates.sort();
    gates.dedup();
    for gate in gates {
        for one in people {
            let statement = ApprovalStatement::for_gate_named(gate, plan).lasting(HOUR);
            let statement = statement.comment("read it").build().unwrap();
            let (text, signature) = one.sign(&statement).unwrap();
            approvals.add(&text, &signature).unwrap();
        }
    }
    approvals
}

/// Has the operator admit the plan, and what was approved of it.
fn admit(database: &server::Database, plan: &Plan, approvals: &SignedApprovals) {
    let mut operator = database.operator();
    let _ = operator.admit_plan(plan).unwrap();
    for approval in approvals.attestations().unwrap() {
        operator.admit_approval(&approval).unwrap();
    }
}
