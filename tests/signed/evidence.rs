//! The evidence: it is enough for a third party, and the server refuses evidence that differs from the approval.

use phasegate::testing::SshSigner;
use phasegate::{
    Digest, Plan, Receipt, Sg1, Sg2,
    approval::{ApprovalStatement, Attestation, Evidence, SignedStatement},
    audit::Journal,
    ssh::{GateRule, NAMESPACE, Policy, RevokedKeys, SignedApprovals},
};

use crate::keygen::Keys;
use crate::pipeline::Draft;
use crate::server::{Database, database, drafting, drafting_plan};
use crate::{HOUR, admit, all_sign, anyone, signers, statement};

#[test]
fn a_third_party_verifies_the_journal_with_ssh_keygen_alone() {
    let (database, keys) = (database(), Keys::new());
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let key = keys.make("ada", &["-t", "ecdsa"]);
    let (grace, gone) = (SshSigner::new("grace"), SshSigner::new("gone"));
    let rule = GateRule::of(["ada", "grace"]).needs(2).author_may_approve();
    let policy = Policy::builder().gate::<Sg1>(rule).build().unwrap();
    let lines = format!(
        "ada,countess {}\n{}",
        key.public,
        grace.allowed_signers_line()
    );
    let allowed = phasegate::ssh::AllowedSigners::parse(&lines).unwrap();
    let revoked = RevokedKeys::parse(&gone.public_key()).unwrap();
    let mut approvals = SignedApprovals::new(&plan, policy, allowed).revoked_keys(revoked);
    let text = statement(&plan).bytes().unwrap();
    approvals.add(&text, &key.sign(NAMESPACE, &text)).unwrap();
    let (text, signature) = grace.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    admit(&database, &plan, &approvals);
    let live = database.live(plan.clone()).authority(approvals);
    let _ = live
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();

    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    let entries = journal.verify().unwrap();
    // It is kept with the approval; the journal has its digests, and the attempt keeps neither.
    let of_nonce = format!(
        "SELECT evidence::text FROM phasegate.approval WHERE nonce = '{}'",
        entries[0].approvals[0].nonce
    );
    let evidence: String = database.ask(&of_nonce);
    let evidence: Evidence = serde_json::from_str(&evidence).unwrap();
    assert_eq!(entries[0].approvals[0].digests, Some(evidence.digests()));
    let copies: i64 = database.ask("SELECT count(approvals) FROM phasegate.attempt");
    assert_eq!(copies, 0);
    assert_eq!(evidence.allowed_signers, lines);
    assert_eq!(evidence.statements.len(), 2);
    for one in &evidence.statements {
        let rules = (
            &*one.approver,
            &*evidence.allowed_signers,
            evidence.revoked_keys.as_deref(),
        );
        let verify =
            |text: &str| keys.verify(rules, NAMESPACE, text.as_bytes(), one.signature.as_bytes());
        verify(&one.statement).unwrap();
        verify(&one.statement.replace("approve", "reject")).unwrap_err();
        let said: serde_json::Value = serde_json::from_str(&one.statement).unwrap();
        assert_eq!(said["plan"], Digest::of(plan.bytes()).to_string());
        assert_eq!(said["decision"], "approve");
    }
    // And by our own rules once more.
    let policy = Policy::from_json(evidence.policy.as_bytes()).unwrap();
    let allowed = phasegate::ssh::AllowedSigners::parse(&evidence.allowed_signers).unwrap();
    let mut again = SignedApprovals::new(&plan, policy, allowed);
    for one in &evidence.statements {
        again
            .add(one.statement.as_bytes(), one.signature.as_bytes())
            .unwrap();
    }
    let nonce = &again.attestation("SG_1").unwrap().statement().nonce.clone();
    assert_eq!(*nonce, entries[0].approvals[0].nonce);
}

/// A plan, admitted, and an approval of it by two people.
fn approved(database: &Database) -> (Plan, Attestation) {
    let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
    let _ = database.operator().admit_plan(&plan).unwrap();
    let (ada, grace) = (SshSigner::new("ada"), SshSigner::new("grace"));
    let approval = all_sign(&plan, &[&ada, &grace])
        .attestation("SG_1")
        .unwrap();
    (plan, approval)
}

/// What the server says to an approval with this evidence.
fn said(
    database: &Database,
    statement: ApprovalStatement,
    who: &str,
    evidence: Evidence,
) -> String {
    let attestation = Attestation::assert_verified(statement, who).with_evidence(evidence);
    let answer = database.operator().admit_approval(&attestation);
    answer.unwrap_err().to_string()
}

#[test]
fn evidence_that_differs_from_what_is_admitted_is_refused() {
    let database = database();
    let (_, approval) = approved(&database);
    let (statement, who) = (approval.statement().clone(), approval.approver());
    let evidence = approval.evidence().unwrap();
    let with = |from: &str, to: &str| {
        let mut evidence = evidence.clone();
        let text = &mut evidence.statements[1].statement;
        assert!(text.contains(from), "{from} in {text}");
        *text = text.replace(from, to);
        said(&database, statement.clone(), who, evidence)
    };
    let plan = statement.plan.to_string();
    for (from, to) in [
        ("\"approve\"", "\"reject\""),
        ("SG_1", "SG_2"),
        (&*plan, &*Digest::of(b"another").to_string()),
        ("statement/1", "statement/2"),
        ("\"expires\"", "\"never\""),
    ] {
        let said = with(from, to);
        assert!(said.contains("is another statement"), "{to}: {said}");
    }
    with("{", "");
    let mut fewer = evidence.clone();
    fewer.statements.truncate(1);
    let one = fewer.statements[0].approver.clone();
    let refused = said(&database, statement.clone(), &one, fewer.clone());
    assert!(
        refused.contains("needs more approvals by its policy"),
        "{refused}"
    );
    let refused = said(&database, statement.clone(), who, fewer.clone());
    assert!(
        refused.contains("have signed, and it is to be admitted for"),
        "{refused}"
    );
    fewer.statements.push(fewer.statements[0].clone());
    let refused = said(
        &database,
        statement.clone(),
        &format!("{one}, {one}"),
        fewer,
    );
    assert!(
        refused.contains("needs more approvals by its policy"),
        "{refused}"
    );
    let mut unsigned = evidence.clone();
    unsigned.statements = Vec::<SignedStatement>::new();
    said(&database, statement.clone(), "", unsigned);
    let mut other = evidence.clone();
    other.policy = other.policy.replace("SG_1", "SG_9");
    let refused = said(&database, statement.clone(), who, other);
    assert!(
        refused.contains("needs more approvals by its policy"),
        "{refused}"
    );
    let mut late = statement.clone();
    late.expires += HOUR;
    let refused = said(&database, late, who, evidence.clone());
    assert!(refused.contains("is another statement"), "{refused}");
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.approval"),
        0
    );
    database.operator().admit_approval(&approval).unwrap();
}

#[test]
fn a_nonce_that_was_admitted_with_other_signatures_is_refused() {
    let database = database();
    let (_, approval) = approved(&database);
    database.operator().admit_approval(&approval).unwrap();
    database.operator().admit_approval(&approval).unwrap();
    let mut evidence = approval.evidence().unwrap().clone();
    evidence.statements[0].signature.push('\n');
    let refused = said(
        &database,
        approval.statement().clone(),
        approval.approver(),
        evidence,
    );
    assert!(refused.contains("is that of another approval"), "{refused}");
}

#[test]
fn gates_that_need_different_people_are_not_admitted_for_one() {
    let rule = || GateRule::of(["ada", "grace"]).author_may_approve();
    let policy = Policy::builder().gate::<Sg1>(rule());
    let policy = policy
        .gate::<Sg2>(rule().other_people_than::<Sg1>())
        .build()
        .unwrap();
    let (ada, grace) = (SshSigner::new("ada"), SshSigner::new("grace"));
    for first_is_admitted_first in [true, false] {
        let database = database();
        let plan = database.plan(&Draft::of(&["a"]));
        let _ = database.operator().admit_plan(&plan).unwrap();
        let attest = |gate: &str, one: &SshSigner, other: &SshSigner| {
            let mut approvals =
                SignedApprovals::new(&plan, policy.clone(), signers(&[&ada, &grace]));
            for (gate, who) in [("SG_1", one), ("SG_2", other)] {
                let statement = ApprovalStatement::for_gate_named(gate, &plan).lasting(HOUR);
                let (text, signature) = who.sign(&statement.build().unwrap()).unwrap();
                approvals.add(&text, &signature).unwrap();
            }
            approvals.attestation(gate).unwrap()
        };
        // Each fits its own set of statements; both together are ada alone.
        let by_ada = [attest("SG_1", &ada, &grace), attest("SG_2", &grace, &ada)];
        let [first, second] = if first_is_admitted_first {
            by_ada
        } else {
            let [one, two] = by_ada;
            [two, one]
        };
        let mut operator = database.operator();
        operator.admit_approval(&first).unwrap();
        let refused = operator.admit_approval(&second).unwrap_err().to_string();
        assert!(refused.contains("needs other people"), "{refused}");
        operator.admit_approval(&first).unwrap();
    }
}

#[test]
fn what_the_evidence_says_is_what_was_verified() {
    let (plan, ada) = (crate::plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
    let attestation = approvals.attestation("SG_1").unwrap();
    let evidence = attestation.evidence().unwrap();
    let expected = Evidence::new(
        anyone(&[&ada]).to_json(),
        ada.allowed_signers_line(),
        None,
        vec![SignedStatement::new(
            "ada",
            String::from_utf8(text).unwrap(),
            String::from_utf8(signature).unwrap(),
        )],
    );
    assert_eq!(*evidence, expected);
}
