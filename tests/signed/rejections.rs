//! A rejection by an eligible approver stops the plan, for every gate and in the database too.

use std::cell::RefCell;

use phasegate::testing::SshSigner;
use phasegate::{
    Error, Plan, Receipt, Sg1, Sg2,
    approval::{ApprovalStatement, Attestation},
    error::{ApprovalRefusal, RefusalReason, RollbackCause},
    ssh::{GateRule, Policy, SignedApprovals, VerifyApprovalError},
};

use crate::pipeline::{Adapter, Draft, pipeline};
use crate::server::{Database, all, database, does, drafting, drafting_plan, refusal};
use crate::{HOUR, anyone, in_seconds, plan, signers, statement};

fn rejection(plan: &Plan) -> ApprovalStatement {
    let rejection = ApprovalStatement::for_gate::<Sg1>(plan)
        .rejecting()
        .lasting(HOUR);
    rejection
        .comment("these are the wrong ids")
        .build()
        .unwrap()
}

/// A rejection of this plan by `ada`, as an operator admits it.
fn rejected(plan: &Plan) -> Attestation {
    let ada = SshSigner::new("ada");
    let mut approvals = SignedApprovals::new(plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&rejection(plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    approvals.rejections().remove(0)
}

#[test]
fn a_rejection_of_one_gate_stops_every_gate_even_approved_ones() {
    let (plan, ada, grace) = (plan(), SshSigner::new("ada"), SshSigner::new("grace"));
    let rule = |who: &str| GateRule::of([who]).author_may_approve();
    let policy = Policy::builder()
        .gate::<Sg1>(rule("ada"))
        .gate::<Sg2>(rule("grace"));
    let policy = policy.build().unwrap();
    let mut approvals = SignedApprovals::new(&plan, policy, signers(&[&ada, &grace]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    approvals.attestation("SG_1").unwrap();
    // Grace approves the other gate only, and so may reject.
    let (text, signature) = grace.sign(&rejection(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    let denied = [
        approvals.attestation("SG_1").unwrap_err(),
        approvals.attestation("SG_2").unwrap_err(),
        approvals.attestations().unwrap_err(),
    ];
    for denied in denied {
        let reason = ApprovalRefusal::from(denied);
        assert!(
            matches!(&reason, ApprovalRefusal::Rejected { by, comment } if by == "grace" && comment == "these are the wrong ids"),
            "{reason}"
        );
    }
}

#[test]
fn a_rejection_by_no_approver_of_the_plan_does_not_count() {
    let (plan, ada, eve) = (plan(), SshSigner::new("ada"), SshSigner::new("eve"));
    let rule = |who: &str| GateRule::of([who]).author_may_approve();
    let policy = Policy::builder()
        .gate::<Sg1>(rule("ada"))
        .gate_named("SG_9", rule("eve"));
    let policy = policy.build().unwrap();
    let mut approvals = SignedApprovals::new(&plan, policy, signers(&[&ada, &eve]));
    let (text, signature) = eve.sign(&rejection(&plan)).unwrap();
    let refused = approvals.add(&text, &signature).unwrap_err();
    assert!(
        matches!(refused, VerifyApprovalError::NotEntitled { .. }),
        "{refused}"
    );
    let forged = ada.sign(&rejection(&plan)).unwrap().0;
    assert!(
        approvals
            .add(&forged, &eve.sign(&rejection(&plan)).unwrap().1)
            .is_err()
    );
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    approvals.attestation("SG_1").unwrap();
}

#[test]
fn a_rejection_lasts_and_no_clock_keeps_it_from_counting() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    for (from, until) in [(-7200, -3600), (7200, 9000)] {
        let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
        let (text, signature) = ada.sign(&statement(&plan)).unwrap();
        approvals.add(&text, &signature).unwrap();
        let no = ApprovalStatement::for_gate::<Sg1>(&plan).rejecting();
        let no = no.not_before(in_seconds(from)).until(in_seconds(until));
        let (text, signature) = ada.sign(&no.build().unwrap()).unwrap();
        approvals.add(&text, &signature).unwrap();
        approvals.attestation("SG_1").unwrap_err();
        assert_eq!(approvals.rejections().len(), 1);
    }
}

#[test]
fn a_run_whose_authority_has_a_rejection_is_refused() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ada = SshSigner::new("ada");
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    for said in [statement(&plan), rejection(&plan)] {
        let (text, signature) = ada.sign(&said).unwrap();
        approvals.add(&text, &signature).unwrap();
    }
    let answer = database.live(plan).authority(approvals);
    let refused =
        refusal(answer.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    let RefusalReason::Approval { reason, .. } = refused.reason() else {
        panic!("{refused}");
    };
    assert!(
        matches!(reason, ApprovalRefusal::Rejected { .. }),
        "{reason}"
    );
}

#[test]
fn a_plan_with_an_admitted_rejection_is_not_performed() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let live = database.live(plan.clone());
    let _ = database
        .operator()
        .admit_rejection(&rejected(&plan), std::time::Duration::from_secs(2))
        .unwrap();
    let _ = database
        .operator()
        .admit_rejection(&rejected(&plan), std::time::Duration::from_secs(2))
        .unwrap();
    let refused = refusal(live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    assert!(
        matches!(refused.reason(), RefusalReason::Rejected { by, comment }
            if refused.phase() == Some("draft") && by == "ada" && comment == "these are the wrong ids"),
        "{refused}"
    );
    assert_eq!(database.items(), []);
    // Another plan is another matter.
    let other = Draft::of(&["b"]);
    let _ = database
        .live(drafting_plan(&database.target, &other))
        .run(|run, on| drafting(run, on, &other).map(Receipt::into_output))
        .unwrap();
}

#[test]
fn a_phase_open_when_a_rejection_is_admitted_does_not_commit() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let rejection = rejected(&plan);
    let adapter = does(|draft, tx| {
        let inserted = tx.execute("INSERT INTO item VALUES ($1, 'draft')", &[&draft.rows[0]])?;
        let _ = database
            .operator()
            .admit_rejection(&rejection, std::time::Duration::from_secs(2))
            .unwrap();
        Ok(inserted)
    });
    let live = database.live_by(plan, adapter);
    let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        matches!(rollback.cause(), RollbackCause::CommitRefused(_)),
        "{rollback}"
    );
    assert!(
        rollback.to_string().contains("ada has rejected the plan"),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_rejection_stops_also_the_phases_without_a_gate() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = database.plan(&draft);
    let operator = RefCell::new(Some(rejected(&plan)));
    let live = |plan: &Plan| database.live_by(plan.clone(), Adapter);
    let answer = live(&plan).run(|run, on| {
        let drafted = drafting(run, on, &draft)?;
        if let Some(rejection) = operator.take() {
            let _ = database
                .operator()
                .admit_rejection(&rejection, std::time::Duration::from_secs(2))
                .unwrap();
        }
        run.phase(crate::pipeline::Check)
            .perform(on, phasegate::Ungated, &drafted)?;
        Ok(())
    });
    let refused = refusal(answer);
    assert!(
        matches!(refused.reason(), RefusalReason::Rejected { .. } if refused.phase() == Some("check")),
        "{refused}"
    );
    assert_eq!(database.items(), all(&["a"], "draft"));
    // The same again: the first phase's receipt is returned, the second phase refused.
    let refused = refusal(live(&plan).run(|run, on| pipeline(run, on, draft.clone())));
    assert!(
        matches!(refused.reason(), RefusalReason::Rejected { .. } if refused.phase() == Some("check")),
        "{refused}"
    );
}

/// What the operator's session says to this.
fn said(
    database: &Database,
    admit: impl Fn(&mut phasegate::operator::Operator) -> Result<(), phasegate::operator::OperatorError>,
) -> String {
    let error = admit(&mut database.operator()).unwrap_err();
    format!("{error}; {}", error.hint().unwrap_or_default())
}

#[test]
fn rejections_and_approvals_are_not_admitted_as_each_other() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let _ = database.operator().admit_plan(&plan).unwrap();
    let no = rejected(&plan);
    let refused = said(&database, |operator| operator.admit_approval(&no));
    assert!(
        refused.contains("the decision is not an approval"),
        "{refused}"
    );
    let ada = SshSigner::new("ada");
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    let yes = approvals.attestations().unwrap().remove(0);
    let refused = said(&database, |operator| {
        operator
            .admit_rejection(&yes, std::time::Duration::from_secs(2))
            .map(drop)
    });
    assert!(
        refused.contains("the decision is not a rejection"),
        "{refused}"
    );
    // Nor by saying one thing and having had another signed.
    let mut statement = no.statement().clone();
    statement.decision = phasegate::approval::Decision::Approve;
    let forged = Attestation::assert_verified(statement, "ada");
    let forged = forged.with_evidence(no.evidence().unwrap().clone());
    let refused = said(&database, |operator| operator.admit_approval(&forged));
    assert!(refused.contains("is another statement"), "{refused}");
}

#[test]
fn a_rejection_of_a_plan_that_was_never_admitted_is_refused() {
    let database = database();
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let refused = said(&database, |operator| {
        operator
            .admit_rejection(&rejected(&plan), std::time::Duration::from_secs(2))
            .map(drop)
    });
    assert!(refused.contains("Admit the plan first"), "{refused}");
}
