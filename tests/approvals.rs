//! Approvals: each reason for which a gate is not passed has its own refusal, and the adapter is not called.

mod pipeline;
mod server;

use std::time::{Duration, SystemTime};

use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScriptedSwitch, TripwireAdapter, TripwireConnector,
};
use phasegate::{
    Digest, Error, LiveRunner, Plan, Receipt, Sg1, Sg2, Start, Target, Ungated,
    approval::{
        ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied, Evidence,
        SignedStatement, UnsignedApprovals,
    },
    audit::Journal,
    connect::Connector,
    error::{ApprovalRefusal, RefusalReason},
};

use pipeline::{Adapter, Check, Draft, Enact, pipeline};
use server::{
    Database, PIPELINE, all, database, drafting, drafting_plan, nowhere, plan_for, refusal,
};

const HOUR: Duration = Duration::from_hours(1);

/// Approves everything, after changing what is attested.
struct Altered<F>(F);

impl<F: FnMut(&mut ApprovalStatement)> Authority for Altered<F> {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let given = ApprovesEverything.attest(request)?;
        let mut statement = given.statement().clone();
        (self.0)(&mut statement);
        Ok(Attestation::assert_verified(statement, given.approver()))
    }
}

/// Returns why the first phase of the small pipeline is refused; the connector and the adapter are not
/// called.
fn reason(authority: impl Authority) -> ApprovalRefusal {
    let draft = Draft::of(&["a"]);
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan_for(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(authority)
        .connector(Nowhere)
        .adapter(TripwireAdapter)
        .run(|run, on| {
            let given = run.approval::<Sg1>();
            assert!(given.is_err(), "an approval was given: {given:?}");
            pipeline(run, on, draft)
        });
    let refused = refusal(answer);
    assert_eq!(refused.phase(), Some("draft"));
    match refused.into_reason() {
        RefusalReason::Approval { gate, reason, .. } => {
            assert_eq!(gate, "SG_1");
            reason
        }
        other => panic!("refused for another reason: {other}"),
    }
}

/// Whether the phase has spent the approval already cannot be asked: that means no.
struct Nowhere;
impl Connector for Nowhere {}

#[test]
fn a_phase_without_an_approval_is_refused() {
    let reason = reason(UnsignedApprovals::new());
    assert!(matches!(reason, ApprovalRefusal::Denied(_)), "{reason}");
    assert!(
        reason.to_string().contains("no approval of gate `SG_1`"),
        "{reason}"
    );
}

#[test]
fn an_approval_of_another_gate_is_refused() {
    let reason = reason(Altered(|statement: &mut ApprovalStatement| {
        statement.gate = "SG_2".to_owned();
    }));
    let another =
        matches!(&reason, ApprovalRefusal::AnotherGate { attested } if attested == "SG_2");
    assert!(another, "{reason}");
}

#[test]
fn a_rejection_that_an_authority_attests_to_opens_nothing() {
    let reason = reason(Altered(|statement: &mut ApprovalStatement| {
        statement.decision = Decision::Reject;
    }));
    let rejected = matches!(&reason, ApprovalRefusal::Rejected { by, .. } if by == "a double");
    assert!(rejected, "{reason}");
}

#[test]
fn an_approval_of_another_plan_is_refused() {
    let other = Digest::of(b"another plan");
    let reason = reason(Altered(|statement: &mut ApprovalStatement| {
        statement.plan = other;
    }));
    let another =
        matches!(reason, ApprovalRefusal::AnotherPlan { attested, .. } if attested == other);
    assert!(another, "{reason}");
}

#[test]
fn an_approval_for_another_target_is_refused() {
    for target in [
        Target::new("1", "nowhere", "nobody"),
        Target::new("0", "elsewhere", "nobody"),
        Target::new("0", "nowhere", "somebody"),
    ] {
        let reason = reason(Altered(|statement: &mut ApprovalStatement| {
            statement.target = target.clone();
        }));
        let another = matches!(reason, ApprovalRefusal::AnotherTarget { .. });
        assert!(another, "{reason}");
    }
}

#[test]
fn an_approval_that_is_over_when_it_is_asked_for_is_refused() {
    let expired = SystemTime::now() - Duration::from_secs(5);
    let reason = reason(Altered(|statement: &mut ApprovalStatement| {
        statement.expires = expired;
    }));
    let over = matches!(reason, ApprovalRefusal::Expired { at } if at == expired);
    assert!(over, "{reason}");
}

#[test]
fn an_approval_that_expires_before_its_phase_is_refused() {
    let draft = Draft::of(&["a"]);
    let mut given = false;
    let brief = Altered(|statement: &mut ApprovalStatement| {
        statement.expires = SystemTime::now() + Duration::from_secs(1);
    });
    let answer = LiveRunner::new(PIPELINE)
        .plan(drafting_plan(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(brief)
        .connector(Nowhere)
        .adapter(TripwireAdapter)
        .run(|run, on| {
            let sg1 = run.approval::<Sg1>()?;
            given = true;
            let expires = run.attestations().next().expect("one").statement().expires;
            while let Ok(left) = expires.duration_since(SystemTime::now()) {
                std::thread::sleep(left + Duration::from_millis(1));
            }
            Ok(run.phase(draft).perform(on, sg1, Start)?.into_output())
        });
    let refusal = refusal(answer);
    assert!(given, "the approval held when it was asked for");
    let RefusalReason::Approval { reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert!(
        matches!(reason, ApprovalRefusal::Expired { .. }),
        "{reason}"
    );
}

#[test]
fn a_gate_of_no_further_phase_is_refused_without_an_authority() {
    let draft = Draft::of(&["a"]);
    let calls = Calls::new();
    let answer = LiveRunner::new(PIPELINE)
        .plan(drafting_plan(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(Recorder::new(ApprovesEverything, &calls))
        .connector(Nowhere)
        .adapter(TripwireAdapter)
        .run(|run, _| run.approval::<Sg2>().map(drop));
    let refusal = refusal(answer);
    let not_needed = matches!(
        refusal.reason(),
        RefusalReason::Approval {
            reason: ApprovalRefusal::NotNeeded,
            ..
        }
    );
    assert!(not_needed, "{refusal}");
    assert_eq!(calls.so_far(), [""; 0]);
}

#[test]
fn the_gate_of_a_phase_that_is_done_is_not_needed_any_more() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let answer = database
        .live(drafting_plan(&database.target, &draft))
        .run(|run, on| {
            drafting(run, on, &draft)?;
            run.approval::<Sg1>().map(drop)
        });
    let refusal = refusal(answer);
    let not_needed = matches!(
        refusal.reason(),
        RefusalReason::Approval {
            reason: ApprovalRefusal::NotNeeded,
            ..
        }
    );
    assert!(not_needed, "{refusal}");
    assert_eq!(
        database.items(),
        all(&["a"], "draft"),
        "what was performed is committed"
    );
}

/// Has an operator admit the plan, and what was approved.
fn admit(database: &Database, plan: &Plan, approvals: &UnsignedApprovals) {
    let mut operator = database.operator();
    let _ = operator.admit_plan(plan).expect("the plan");
    for approval in approvals.attestations() {
        operator.admit_approval(approval).expect("the approval");
    }
}

#[test]
fn an_approval_that_was_not_admitted_is_refused_by_the_database() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(&plan, "ada", "told nobody", HOUR);
    let answer = database
        .live_by(plan, Adapter)
        .authority(approvals)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let refusal = refusal(answer);
    let RefusalReason::Approval { gate, reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(gate, "SG_1");
    assert!(matches!(reason, ApprovalRefusal::NotAdmitted), "{reason}");
    assert_eq!(database.items(), []);
}

#[test]
fn each_phase_requests_its_own_approval_by_its_name() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let calls = Calls::new();
    let answer = database
        .live(database.plan(&draft))
        .authority(Recorder::new(ApprovesEverything, &calls))
        .run(|run, on| pipeline(run, on, draft));
    assert_eq!(answer.unwrap().value, 1);
    let asked = [
        "attest SG_1 for draft",
        "attest SG_2 for enact",
        "attest SG_1 for publish",
        "attest SG_2 for publish",
    ];
    assert_eq!(calls.so_far(), asked);
}

#[test]
fn a_second_gate_without_approval_stops_the_run_at_its_phase() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = database.plan(&draft);
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(&plan, "ada", "the first gate only", HOUR);
    admit(&database, &plan, &approvals);
    let calls = Calls::new();
    let answer = database
        .live_by(plan, Recorder::new(Adapter, &calls))
        .authority(approvals)
        .run(|run, on| pipeline(run, on, draft));
    let refusal = refusal(answer);
    assert_eq!(refusal.phase(), Some("enact"));
    assert_eq!(calls.so_far(), ["execute draft", "execute check"]);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn an_approval_does_not_hold_for_a_plan_that_was_made_again() {
    let (draft, changed) = (Draft::of(&["a"]), Draft::of(&["b"]));
    let approved = plan_for(&nowhere(), &draft);
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(&approved, "ada", "the first version", HOUR);
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan_for(&nowhere(), &changed))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(approvals)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, changed));
    let refusal = refusal(answer);
    let RefusalReason::Approval { reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert!(matches!(reason, ApprovalRefusal::Denied(_)), "{reason}");
}

#[test]
fn a_lifetime_that_no_clock_can_show_approves_nothing() {
    let draft = Draft::of(&["a"]);
    let plan = plan_for(&nowhere(), &draft);
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(&plan, "ada", "for ever", Duration::MAX);
    let reason = reason(approvals);
    assert!(
        matches!(reason, ApprovalRefusal::Expired { .. }),
        "{reason}"
    );
}

#[test]
fn an_approval_for_a_later_phase_of_the_gate_fits_the_next_one() -> Result<(), Error> {
    // Both are behind SG_2, so one attestation names either; what it is bound to is gate and plan.
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = database.plan(&draft);
    let _ = database.live(plan).run(|run, on| {
        let early = run.approval::<Sg2>()?;
        let drafted = drafting(run, on, &draft)?;
        let checked = run.phase(Check).perform(on, Ungated, &drafted)?;
        let enacted = run.phase(Enact).perform(on, early, &checked)?;
        let both = run.approval::<Sg1>()?.and(run.approval::<Sg2>()?);
        run.phase(pipeline::Publish)
            .perform(on, both, (&drafted, &enacted))?;
        Ok(())
    })?;
    assert_eq!(database.items(), all(&["a"], "published"));
    Ok(())
}

#[test]
fn what_was_signed_stands_in_the_journal_as_it_was() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let mut unsigned = UnsignedApprovals::new();
    unsigned.approve::<Sg1>(&plan, "ada", "read \"all\" of it", HOUR);
    let text = format!(
        "{{ \"plan\" :\"{}\",\"gate\":\"SG_1\",\"decision\":\"approve\",\"comment\":\"\u{e9}\\u00e9\", \
         \"schema\":\"phasegate/statement/1\",\"expires\":\"2999-01-01T00:00:00Z\"}}\r\n",
        plan.digest()
    );
    let statement = SignedStatement::new("ada", text, "-----BEGIN\n");
    let policy = r#"{ "gates": {"SG_1": {"needs": 1}} }"#;
    let evidence = Evidence::new(policy, "ada ssh-ed25519 AAAA\r\n", None, vec![statement]);
    let attestation = unsigned.attestations()[0]
        .clone()
        .with_evidence(evidence.clone());
    {
        let mut operator = database.operator();
        let _ = operator.admit_plan(&plan).expect("the plan");
        operator.admit_approval(&attestation).expect("the approval");
        operator.admit_approval(&attestation).expect("once more");
        let without = operator.admit_approval(&unsigned.attestations()[0]);
        let refused = without.expect_err("its nonce is taken").to_string();
        assert!(refused.contains("is that of another approval"), "{refused}");
    }
    let answer = database
        .live_by(plan.clone(), Adapter)
        .authority(unsigned)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(answer.unwrap().value, 1);
    let journal = Journal::read(&mut database.admin(), plan.digest()).expect("the journal");
    let entries = journal.verify().expect("a chain");
    let spent = &entries[0].approvals[0];
    assert_eq!(spent.digests, Some(evidence.digests()));
    assert_eq!(spent.comment, "read \"all\" of it");
    let expires: SystemTime = database.ask(&format!("SELECT '{}'::timestamptz", spent.expires));
    let asked = attestation.statement().expires;
    let differ = expires
        .duration_since(asked)
        .unwrap_or_else(|e| e.duration());
    assert!(differ < Duration::from_millis(1), "{differ:?}");
}
