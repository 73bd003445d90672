//! People are counted and not keys: M of N, who made the plan, and gates that need different people.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use phasegate::testing::{ScriptedSwitch, SshSigner, TripwireAdapter, TripwireConnector};
use phasegate::{
    DryRunner, LiveRunner, Plan, Sg1, Sg2,
    approval::ApprovalStatement,
    error::{ApprovalRefusal, RefusalReason},
    ssh::{AllowedSigners, GateRule, NAMESPACE, Policy, SignedApprovals, VerifyApprovalError},
};

use crate::keygen::Keys;
use crate::pipeline::{Draft, Simulator, pipeline};
use crate::server::{PIPELINE, nowhere, refusal};
use crate::{HOUR, in_seconds, plan, signers, statement};

fn rule() -> GateRule {
    GateRule::of(["ada", "grace", "mary"]).author_may_approve()
}

fn policy(rule: GateRule) -> Policy {
    Policy::builder().gate::<Sg1>(rule).build().unwrap()
}

fn three() -> [SshSigner; 3] {
    ["ada", "grace", "mary"].map(SshSigner::new)
}

fn sign(approvals: &mut SignedApprovals, who: &SshSigner, statement: &ApprovalStatement) {
    let (text, signature) = who.sign(statement).unwrap();
    approvals.add(&text, &signature).unwrap();
}

#[test]
fn a_gate_needs_as_many_people_as_the_policy_says() {
    let (plan, people) = (plan(), three());
    let all: Vec<_> = people.iter().collect();
    for needs in 1..=3_u32 {
        let mut approvals = SignedApprovals::new(&plan, policy(rule().needs(needs)), signers(&all));
        for given in 0..needs {
            let denied = approvals.attestation("SG_1").unwrap_err().to_string();
            let says = format!("has {given} of the {needs} approvals that it needs");
            assert!(denied.contains(&says), "{denied}");
            assert!(approvals.attestations().unwrap().is_empty());
            sign(&mut approvals, &people[given as usize], &statement(&plan));
        }
        let attestation = approvals.attestation("SG_1").unwrap();
        assert_eq!(attestation.approver().split(", ").count(), needs as usize);
        assert_eq!(approvals.attestations().unwrap(), [attestation]);
    }
}

#[test]
fn a_joint_attestation_expires_first_and_is_deterministic() {
    let (plan, [ada, grace, mary]) = (plan(), three());
    let people = [&ada, &grace, &mary];
    let signers = signers(&people);
    let lasting = |hours| {
        let statement = ApprovalStatement::for_gate::<Sg1>(&plan).lasting(HOUR * hours);
        statement.comment("fine").build().unwrap()
    };
    let given = [
        (&ada, lasting(3)),
        (&grace, lasting(5)),
        (&mary, lasting(2)),
    ];
    let attest = |order: [usize; 3]| {
        let mut approvals = SignedApprovals::new(&plan, policy(rule().needs(2)), signers.clone());
        for at in order {
            sign(&mut approvals, given[at].0, &given[at].1);
        }
        approvals.attestation("SG_1").unwrap()
    };
    let attestation = attest([0, 1, 2]);
    for order in [[2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        assert_eq!(attest(order), attestation);
    }
    assert_eq!(attestation.approver(), "grace, ada");
    assert_eq!(attestation.statement().expires, given[0].1.expires);
    assert_eq!(attestation.statement().comment, "grace: fine; ada: fine");
    let nonce = &attestation.statement().nonce;
    assert!(
        given.iter().all(|(_, statement)| statement.nonce != *nonce),
        "{nonce}"
    );
    assert_eq!(attestation.evidence().unwrap().statements.len(), 2);
}

#[test]
fn a_signer_with_two_keys_or_two_names_is_one_person() {
    let (plan, [ada, grace, _]) = (plan(), three());
    let (second, third) = (SshSigner::new("ada"), SshSigner::new("a.lovelace"));
    let lines = format!(
        "{}ada,countess {}\ncountess,a.lovelace {}\n{}",
        ada.allowed_signers_line(),
        second.public_key(),
        third.public_key(),
        grace.allowed_signers_line()
    );
    let signers = AllowedSigners::parse(&lines).unwrap();
    let rule = GateRule::of(["ada", "countess", "a.lovelace", "grace"]).needs(2);
    let mut approvals = SignedApprovals::new(&plan, policy(rule.author_may_approve()), signers);
    for key in [&ada, &ada, &second, &third] {
        sign(&mut approvals, key, &statement(&plan));
        let denied = approvals.attestation("SG_1").unwrap_err();
        assert!(denied.to_string().contains("has 1 of the 2"), "{denied}");
        assert_eq!(denied.hint().unwrap(), "Have one signed by grace.");
    }
    sign(&mut approvals, &grace, &statement(&plan));
    approvals.attestation("SG_1").unwrap();
}

#[test]
fn two_people_who_have_a_key_in_common_are_one() {
    let (plan, shared, own) = (plan(), SshSigner::new("ada"), SshSigner::new("grace"));
    let lines = format!(
        "ada {0}\ngrace {0}\ngrace {1}\n",
        shared.public_key(),
        own.public_key()
    );
    let signers = AllowedSigners::parse(&lines).unwrap();
    let mut approvals = SignedApprovals::new(&plan, policy(rule().needs(2)), signers);
    sign(&mut approvals, &shared, &statement(&plan));
    sign(&mut approvals, &own, &statement(&plan));
    let denied = approvals.attestation("SG_1").unwrap_err().to_string();
    assert!(denied.contains("has 1 of the 2"), "{denied}");
}

#[test]
fn the_same_statement_signed_by_two_people_is_two_approvals() {
    let (plan, [ada, grace, mary]) = (plan(), three());
    let signers = signers(&[&ada, &grace, &mary]);
    let statement = statement(&plan);
    let attest = |two: [&SshSigner; 2]| {
        let mut approvals = SignedApprovals::new(&plan, policy(rule().needs(2)), signers.clone());
        for one in two {
            sign(&mut approvals, one, &statement);
        }
        approvals
            .attestation("SG_1")
            .unwrap()
            .statement()
            .nonce
            .clone()
    };
    assert_ne!(attest([&ada, &grace]), attest([&ada, &mary]));
}

/// A policy by which `SG_2` needs other people than `SG_1`.
fn separate() -> Policy {
    let policy = Policy::builder().gate::<Sg1>(rule());
    let policy = policy.gate::<Sg2>(rule().other_people_than::<Sg1>());
    policy.build().unwrap()
}

#[test]
fn a_signer_does_not_count_for_a_gate_that_needs_other_people() {
    let (plan, [ada, grace, mary]) = (plan(), three());
    let signers = signers(&[&ada, &grace, &mary]);
    let second = |plan: &Plan| {
        ApprovalStatement::for_gate::<Sg2>(plan)
            .lasting(HOUR)
            .build()
            .unwrap()
    };
    let mut approvals = SignedApprovals::new(&plan, separate(), signers);
    sign(&mut approvals, &ada, &second(&plan));
    let denied = approvals.attestation("SG_2").unwrap_err().to_string();
    assert!(denied.contains("of which no approval is here"), "{denied}");
    sign(&mut approvals, &ada, &statement(&plan));
    approvals.attestation("SG_1").unwrap();
    let denied = approvals.attestation("SG_2").unwrap_err();
    let said = denied.to_string();
    assert!(said.contains("has 0 of the 1"), "{said}");
    // Nobody is asked for what would not count.
    assert_eq!(denied.hint().unwrap(), "Have one signed by grace or mary.");
    let not_counted = "; ada has signed another gate, and does not count for this one";
    assert!(said.ends_with(not_counted), "{said}");
    sign(&mut approvals, &grace, &second(&plan));
    let attestation = approvals.attestation("SG_2").unwrap();
    assert_eq!(attestation.approver(), "grace");
}

#[test]
fn approvals_of_one_gate_are_none_of_another() {
    let (plan, [ada, ..]) = (plan(), three());
    let policy = Policy::builder().gate::<Sg1>(rule()).gate::<Sg2>(rule());
    let mut approvals = SignedApprovals::new(&plan, policy.build().unwrap(), signers(&[&ada]));
    sign(&mut approvals, &ada, &statement(&plan));
    let denied = approvals.attestation("SG_2").unwrap_err().to_string();
    assert!(denied.contains("has 0 of the 1"), "{denied}");
}

#[test]
fn a_plan_without_an_author_has_no_approver_by_default() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let policy = policy(GateRule::of(["ada"]));
    let mut approvals = SignedApprovals::new(&plan, policy, signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let refused = approvals.add(&text, &signature).unwrap_err();
    assert!(
        matches!(refused, VerifyApprovalError::NoAuthor { .. }),
        "{refused}"
    );
}

/// Approvals by a clock that shows what the number says, in seconds from now.
fn by_clock(approvals: SignedApprovals) -> (SignedApprovals, Arc<AtomicI64>) {
    let offset = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&offset);
    let now = move || -> SystemTime { in_seconds(clock.load(Ordering::Relaxed)) };
    (approvals.by_clock(now), offset)
}

#[test]
fn a_clock_that_jumps_lets_no_expired_or_future_statement_pass() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let approvals = SignedApprovals::new(&plan, policy(rule()), signers(&[&ada]));
    let (mut approvals, clock) = by_clock(approvals);
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    for (jump, counts) in [
        (0, true),
        (-3600, false),
        (3601, false),
        (3590, true),
        (-299, true),
    ] {
        clock.store(jump, Ordering::Relaxed);
        assert_eq!(approvals.add(&text, &signature).is_ok(), counts, "{jump}");
    }
    // Added statements are verified again each time.
    for (jump, counts) in [
        (0, true),
        (-3600, false),
        (3601, false),
        (i64::from(i32::MAX), false),
        (0, true),
    ] {
        clock.store(jump, Ordering::Relaxed);
        let admissible = approvals.attestations().unwrap();
        assert_eq!(admissible.len(), usize::from(counts), "{jump}");
    }
}

#[test]
fn a_key_whose_time_is_over_meanwhile_counts_no_more() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let line = format!("ada valid-before=\"21000101Z\" {}\n", ada.public_key());
    let signers = AllowedSigners::parse(&line).unwrap();
    let (mut approvals, clock) = by_clock(SignedApprovals::new(&plan, policy(rule()), signers));
    sign(&mut approvals, &ada, &statement(&plan));
    approvals.attestation("SG_1").unwrap();
    clock.store(100 * 366 * 24 * 3600, Ordering::Relaxed);
    approvals.attestation("SG_1").unwrap_err();
}

#[test]
fn a_run_without_enough_people_is_refused_before_it_connects() {
    let (plan, [ada, grace, mary]) = (plan(), three());
    let signers = signers(&[&ada, &grace, &mary]);
    let mut approvals = SignedApprovals::new(&plan, policy(rule().needs(2)), signers);
    sign(&mut approvals, &ada, &statement(&plan));
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(approvals)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, Draft::of(&["a"])));
    let RefusalReason::Approval {
        reason: ApprovalRefusal::Denied(denied),
        ..
    } = refusal(answer).into_reason()
    else {
        panic!("refused for another reason");
    };
    assert_eq!(denied.hint().unwrap(), "Have one signed by grace or mary.");
}

#[test]
fn a_directory_gives_what_counts_and_names_what_does_not() {
    let (keys, plan) = (Keys::new(), plan());
    let [ada, grace, mary] = three();
    let save = |name: &str, text: &[u8], signature: Option<&[u8]>| {
        std::fs::write(keys.path(name), text).unwrap();
        if let Some(signature) = signature {
            std::fs::write(keys.path(&format!("{name}.sig")), signature).unwrap();
        }
    };
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    save("ada.json", &text, Some(&signature));
    save("grace.json", &statement(&plan).bytes().unwrap(), None);
    save(
        "mary.json",
        &text,
        Some(&mary.sign_as(NAMESPACE, b"something else")),
    );
    save("notes.txt", b"see ada.json", Some(b"none"));
    let policy = policy(rule().needs(2));
    let mut approvals = SignedApprovals::new(&plan, policy, signers(&[&ada, &grace, &mary]));
    let refused = approvals.add_directory(keys.path("")).unwrap();
    let [refused] = refused.as_slice() else {
        panic!("{refused:?}");
    };
    assert_eq!(refused.path(), keys.path("mary.json"));
    assert!(matches!(refused.why(), VerifyApprovalError::DoesNotFit { who } if who == "mary"));
    let denied = approvals.attestation("SG_1").unwrap_err().to_string();
    assert!(denied.contains("has 1 of the 2"), "{denied}");
    assert!(approvals.add_directory(keys.path("none")).is_err());
}

/// A plan for no database that names who made it.
fn plan_by(author: &str, last_editor: Option<&str>) -> Plan {
    let mut dry = DryRunner::new(PIPELINE)
        .target(nowhere())
        .simulator(Simulator)
        .author(author);
    if let Some(editor) = last_editor {
        dry = dry.last_editor(editor);
    }
    let draft = Draft::of(&["a"]);
    let rehearsed = dry.run(|run, on| pipeline(run, on, draft.clone()));
    rehearsed.unwrap().plan
}

#[test]
fn author_and_last_editor_do_not_approve_under_any_name() {
    let [ada, grace, mary] = three();
    let dora = SshSigner::new("dora");
    let lines = format!(
        "{}{}ada,countess {}\n{}{}",
        dora.allowed_signers_line(),
        ada.allowed_signers_line(),
        ada.public_key(),
        grace.allowed_signers_line(),
        mary.allowed_signers_line()
    );
    let signers = AllowedSigners::parse(&lines).unwrap();
    let rule = || GateRule::of(["ada", "grace", "mary"]);
    let add = |plan: &Plan, rule: GateRule, who: &SshSigner| {
        let mut approvals = SignedApprovals::new(plan, policy(rule), signers.clone());
        let (text, signature) = who.sign(&statement(plan)).unwrap();
        approvals.add(&text, &signature)
    };
    for (author, editor) in [
        ("ada", None),
        ("countess", None),
        ("dora", Some("countess")),
        ("ada", Some("grace")),
    ] {
        let plan = plan_by(author, editor);
        let refused = add(&plan, rule(), &ada).unwrap_err();
        assert!(
            matches!(&refused, VerifyApprovalError::Author { who, .. } if who == "ada"),
            "{refused}"
        );
        assert_eq!(add(&plan, rule(), &grace).is_ok(), editor != Some("grace"));
        add(&plan, rule(), &mary).unwrap();
        add(&plan, rule().author_may_approve(), &ada).unwrap();
    }
}

#[test]
fn a_plan_by_an_unknown_author_has_no_eligible_approver() {
    let [ada, grace, mary] = three();
    let rule = || GateRule::of(["ada", "grace", "mary"]);
    for (author, editor) in [
        ("ada@bank.example", None),
        ("Ada", None),
        ("mary", Some("ada@bank.example")),
    ] {
        let plan = plan_by(author, editor);
        let mut approvals =
            SignedApprovals::new(&plan, policy(rule()), signers(&[&ada, &grace, &mary]));
        let (text, signature) = ada.sign(&statement(&plan)).unwrap();
        let refused = approvals.add(&text, &signature).unwrap_err();
        let unknown = editor.unwrap_or(author);
        assert!(
            matches!(&refused, VerifyApprovalError::UnknownAuthor { author, .. } if author == unknown),
            "{refused}"
        );
    }
}

#[test]
fn an_author_is_not_named_among_those_who_have_still_to_sign() {
    let [ada, grace, mary] = three();
    let plan = plan_by("ada", None);
    let rule = GateRule::of(["ada", "grace", "mary"]).needs(2);
    let mut approvals = SignedApprovals::new(&plan, policy(rule), signers(&[&ada, &grace, &mary]));
    sign(&mut approvals, &grace, &statement(&plan));
    let denied = approvals.attestation("SG_1").unwrap_err();
    assert_eq!(denied.hint().unwrap(), "Have one signed by mary.");
}

#[test]
fn who_made_a_plan_may_reject_it() {
    let ada = SshSigner::new("ada");
    let plan = plan_by("ada", None);
    let mut approvals =
        SignedApprovals::new(&plan, policy(GateRule::of(["ada"])), signers(&[&ada]));
    let no = ApprovalStatement::for_gate::<Sg1>(&plan)
        .rejecting()
        .lasting(HOUR)
        .build()
        .unwrap();
    sign(&mut approvals, &ada, &no);
    assert_eq!(approvals.rejections().len(), 1);
}
