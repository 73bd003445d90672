//! Tests of the message, the hint and the causes of each error.

#![allow(clippy::unwrap_used)]

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use super::*;
use crate::authority::Denied;
use crate::base::canonical;
use crate::base::digest::Digest;
use crate::kill_switch::{SwitchOff, SwitchUnreadable};
use crate::plan::{InputsError, Target};

fn io_error() -> BoxError {
    Box::new(io::Error::other("the cause"))
}

fn target() -> Target {
    Target::new("1", "register", "closer")
}

fn not_canonical() -> canonical::NotCanonical {
    canonical::encode(&u64::MAX).unwrap_err()
}

fn switch_off() -> SwitchOff {
    SwitchOff::new("the change window").turned_on_by("open one in the calendar")
}

fn approval_refusals() -> Vec<ApprovalRefusal> {
    let plan = Digest::of(b"plan");
    vec![
        ApprovalRefusal::Denied(Denied::new("no approval is there")),
        ApprovalRefusal::Rejected {
            by: "ada".to_owned(),
            comment: "wrong ids".to_owned(),
        },
        ApprovalRefusal::NotNeeded,
        ApprovalRefusal::Missing,
        ApprovalRefusal::AnotherPhase {
            asked: "draft".to_owned(),
        },
        ApprovalRefusal::AnotherGate {
            attested: "SG_2".to_owned(),
        },
        ApprovalRefusal::AnotherPlan {
            attested: plan,
            running: plan,
        },
        ApprovalRefusal::AnotherTarget {
            attested: Box::new(target()),
            planned: Box::new(target()),
        },
        ApprovalRefusal::NotAdmitted,
        ApprovalRefusal::Expired {
            at: SystemTime::now() - Duration::from_secs(5),
        },
    ]
}

fn refusal_reasons() -> Vec<RefusalReason> {
    let digest = Digest::of(b"bytes");
    let name = || "check".to_owned();
    let names = || vec!["SG_1".to_owned()];
    let mut reasons = vec![
        RefusalReason::SwitchOff {
            switch: Box::new(switch_off()),
        },
        RefusalReason::SwitchUnreadable(SwitchUnreadable::new("no such file")),
        RefusalReason::Stopped { why: name() },
        RefusalReason::Invalid(Invalid::new("it has no title").at_row(2, "a.md:7")),
        RefusalReason::NotCanonical(not_canonical()),
        RefusalReason::NameNotPlanned { decoded: name() },
        RefusalReason::DuplicatePhase,
        RefusalReason::EmptyPlan,
        RefusalReason::PlanFlawed { flaw: name() },
        RefusalReason::RehearsalsDiffer {
            differences: name(),
        },
        RefusalReason::PlanExpired {
            valid_until: SystemTime::now(),
        },
        RefusalReason::AnotherPipeline {
            planned: name(),
            running: name(),
        },
        RefusalReason::AnotherProgram {
            planned: None,
            running: None,
        },
        RefusalReason::MeansChanged { objects: names() },
        RefusalReason::AnotherInputs(InputsError::AnotherPlan {
            plan: digest,
            inputs: digest,
        }),
        RefusalReason::NotNextInPlan { planned: None },
        RefusalReason::GateChanged {
            planned: names(),
            presented: names(),
        },
        RefusalReason::OrderChanged {
            planned: names(),
            presented: Vec::new(),
        },
        RefusalReason::InputChanged {
            planned: digest,
            presented: digest,
        },
        RefusalReason::Unresolved { in_doubt: name() },
        RefusalReason::NotConnected(io_error()),
        RefusalReason::AnotherTarget {
            planned: Box::new(target()),
            found: Box::new(target()),
        },
        RefusalReason::SessionInTransaction,
        RefusalReason::ActingRole {
            role: name(),
            acting: name(),
        },
        RefusalReason::Standby,
        RefusalReason::NotInstalled {
            found: Box::new(target()),
        },
        RefusalReason::AnotherProtocol {
            said: Failure::new("the caller speaks protocol 2, and this install speaks 1"),
        },
        RefusalReason::NotARunner { role: name() },
        RefusalReason::PrivilegedRole {
            role: name(),
            privileges: names(),
        },
        RefusalReason::NotAdmitted {
            plan: digest,
            found: Box::new(target()),
        },
        RefusalReason::Rejected {
            by: name(),
            comment: name(),
        },
        RefusalReason::LeaseOver,
        RefusalReason::LeaseElsewhere {
            said: Failure::new("the kill switch was turned on in another cluster"),
        },
        RefusalReason::Held { holder: None },
        RefusalReason::SessionNotNew { age: 2.5 },
        RefusalReason::OutputUnreadable(io_error()),
        RefusalReason::RehearsalOver {
            lost_in: None,
            said: Some(io_error()),
        },
        RefusalReason::NotOpened(io_error()),
    ];
    let of_gate = |reason| RefusalReason::Approval {
        gate: "SG_1".to_owned(),
        reason,
    };
    reasons.extend(approval_refusals().into_iter().map(of_gate));
    reasons
}

fn rollback_causes() -> Vec<RollbackCause> {
    let failure = || Failure::new(io_error()).at_row(6, "a.md:23");
    vec![
        RollbackCause::Failed(failure()),
        RollbackCause::Output(not_canonical()),
        RollbackCause::SwitchOff(switch_off()),
        RollbackCause::Stopped("not today".to_owned()),
        RollbackCause::LeaseOver,
        RollbackCause::TimeOver,
        RollbackCause::SwitchUnreadable(SwitchUnreadable::new("no such file")),
        RollbackCause::Swallowed {
            statement: Some("a statement had failed".to_owned()),
        },
        RollbackCause::StatementNotPlanned {
            statement: "SELECT 1".to_owned(),
        },
        RollbackCause::SavepointLeftOpen,
        RollbackCause::ConnectionLost,
        RollbackCause::CommitRefused(failure()),
        RollbackCause::EffectsDiffer(serde_json::from_str("[]").unwrap()),
        RollbackCause::ContentsDiffer(serde_json::from_str("[]").unwrap()),
        RollbackCause::EndedFromWithin(failure()),
        RollbackCause::NotCommitted { said: failure() },
    ]
}

fn errors() -> Vec<Error> {
    let attempt = Attempted {
        plan: Digest::of(b"plan"),
        target: target(),
        place: 1,
        nonce: "n".to_owned(),
        xid: "1".to_owned(),
        timeline: "1".to_owned(),
        backend_pid: 1,
        backend_start: String::new(),
        opened_at: String::new(),
    };
    let mut errors = vec![
        Error::from(InDoubt::new("draft", attempt, io_error())),
        Error::from(Incomplete::new(vec!["draft".to_owned()], Vec::new())),
    ];
    let refused = |reason| Error::from(Refusal::of_phase("draft", reason));
    errors.extend(refusal_reasons().into_iter().map(refused));
    let rolled_back = |cause| Error::from(Rollback::new("draft", LIVE, cause));
    errors.extend(rollback_causes().into_iter().map(rolled_back));
    errors
}

/// Checks that every variant in the source has a value above.
#[test]
fn no_variant_is_left_out() {
    let code = include_str!("code.rs");
    let listed: Vec<_> = errors().iter().map(Error::code).collect();
    for line in code.lines() {
        if let Some(code) = line.split("=> \"").nth(1) {
            let code = code.split('"').next().unwrap();
            assert!(listed.contains(&code), "{code} is not listed");
        }
    }
}

#[test]
fn a_cause_is_printed_or_linked_and_never_both() {
    for error in errors() {
        let mut above = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            assert!(!above.contains(&text), "`{above}` repeats `{text}`");
            above = text;
            next = cause.source();
        }
    }
}

#[test]
fn a_message_is_one_clause_that_names_the_phase() {
    for error in errors() {
        let said = error.to_string();
        let first = said.lines().next().unwrap();
        assert!(!first.contains(". ") && !first.ends_with('.'), "{said}");
        if !matches!(error, Error::Incomplete(_)) {
            assert!(first.starts_with("phase `draft`"), "{said}");
        }
        let cause = ["the cause", "Operator::", "`Run::"];
        let remedy = cause[1..].iter().any(|remedy| said.contains(remedy));
        assert!(!remedy, "a remedy belongs into the hint: {said}");
    }
}

#[test]
fn a_hint_is_made_of_sentences() {
    for error in errors() {
        if let Some(hint) = error.hint() {
            assert!(hint.ends_with('.'), "{hint}");
            assert!(hint.starts_with(|c: char| c.is_uppercase()), "{hint}");
        }
    }
    let over = Error::from(Refusal::of_run(RefusalReason::LeaseOver));
    assert!(over.hint().unwrap().contains("Operator::switch_on"));
    let empty = Error::from(Refusal::of_run(RefusalReason::EmptyPlan));
    assert_eq!((empty.code(), empty.hint()), ("empty_plan", None));
}

#[test]
fn the_row_and_the_cause_are_in_the_message() {
    let failure = Failure::new(io_error()).at_row(6, "a.md:23");
    let rollback = Rollback::new("draft", LIVE, RollbackCause::Failed(failure));
    let said = rollback.to_string();
    let expected = "phase `draft` (live) failed at row 6 (a.md:23): the cause";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(rollback.row().unwrap().ordinal(), 6);
}
