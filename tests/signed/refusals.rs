//! Each reason for which a signed statement does not count has its own refusal.

use std::time::Duration;

use phasegate::testing::SshSigner;
use phasegate::{
    Digest, Sg1, Target,
    approval::ApprovalStatement,
    ssh::{
        AllowedSigners, GateRule, NAMESPACE, Policy, RevokedKeys, SignedApprovals,
        VerifyApprovalError,
    },
};

use crate::{HOUR, anyone, in_seconds, plan, said, signers, statement};

/// Asserts that `answer` is this refusal, and that its message contains the text.
#[track_caller]
fn refused(
    answer: &Result<(), VerifyApprovalError>,
    is: fn(&VerifyApprovalError) -> bool,
    says: &str,
) {
    match answer {
        Err(refusal) if is(refusal) => {
            let said = format!("{refusal}; {}", refusal.hint().unwrap_or_default());
            assert!(said.contains(says), "{said}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_everything_is_right_with_counts() {
    said(&statement(&plan())).unwrap();
}

#[test]
fn a_statement_about_another_plan_is_refused() {
    let mut other = statement(&plan());
    other.plan = Digest::of(b"another");
    refused(
        &said(&other),
        |why| matches!(why, VerifyApprovalError::AnotherPlan { who, .. } if who == "ada"),
        "ada has signed plan",
    );
}

#[test]
fn a_statement_about_another_target_is_refused() {
    for target in [
        Target::new("1", "nowhere", "nobody"),
        Target::new("0", "elsewhere", "nobody"),
        Target::new("0", "nowhere", "somebody"),
    ] {
        let mut other = statement(&plan());
        other.target = target;
        refused(
            &said(&other),
            |why| matches!(why, VerifyApprovalError::AnotherTarget { .. }),
            "ada has signed a plan for",
        );
    }
}

#[test]
fn a_statement_about_a_gate_that_the_plan_lacks_is_refused() {
    let mut other = statement(&plan());
    other.gate = "SG_9".to_owned();
    refused(
        &said(&other),
        |why| matches!(why, VerifyApprovalError::AnotherGate { gate, .. } if gate == "SG_9"),
        "no phase of the plan is behind it",
    );
    let built = ApprovalStatement::for_gate_named("SG_9", &plan())
        .lasting(HOUR)
        .build();
    assert!(built.unwrap_err().to_string().contains("SG_9"));
}

#[test]
fn a_statement_that_is_over_is_refused() {
    let mut over = statement(&plan());
    over.valid_from = in_seconds(-7200);
    over.expires = in_seconds(-2);
    refused(
        &said(&over),
        |why| matches!(why, VerifyApprovalError::Expired { .. }),
        "expired",
    );
}

#[test]
fn a_statement_not_valid_yet_is_refused_beyond_the_clock_skew() {
    let mut early = statement(&plan());
    early.valid_from = in_seconds(600);
    refused(
        &said(&early),
        |why| matches!(why, VerifyApprovalError::NotYetValid { in_time, .. } if in_time.as_secs() > 500),
        "set the clocks right",
    );
    early.valid_from = in_seconds(200);
    said(&early).unwrap();
}

#[test]
fn a_statement_valid_for_longer_than_allowed_is_refused() {
    let day = Duration::from_hours(24);
    let lasting = |life| {
        ApprovalStatement::for_gate::<Sg1>(&plan())
            .lasting(life)
            .build()
            .unwrap()
    };
    said(&lasting(day)).unwrap();
    refused(
        &said(&lasting(day + Duration::from_secs(1))),
        |why| matches!(why, VerifyApprovalError::LivesTooLong { .. }),
        "allows 24 h",
    );
    // Nor one that is nearly over by now.
    let mut old = lasting(HOUR);
    old.valid_from = in_seconds(-24 * 3600);
    refused(
        &said(&old),
        |why| matches!(why, VerifyApprovalError::LivesTooLong { .. }),
        "expires earlier",
    );
}

#[test]
fn a_signature_for_another_namespace_is_refused() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let text = statement(&plan).bytes().unwrap();
    for namespace in ["file", "git", "Phasegate", "phasegate ", "phasegate2"] {
        let signature = ada.sign_as(namespace, &text);
        let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
        refused(
            &approvals.add(&text, &signature),
            |why| matches!(why, VerifyApprovalError::AnotherNamespace { .. }),
            "-n phasegate",
        );
    }
}

#[test]
fn a_key_allowed_for_other_namespaces_only_is_refused() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let line = format!("ada namespaces=\"git,file\" {}\n", ada.public_key());
    let mut approvals = SignedApprovals::new(
        &plan,
        anyone(&[&ada]),
        AllowedSigners::parse(&line).unwrap(),
    );
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::NamespaceNotAllowed { allowed, .. } if allowed == "git,file"),
        "Put `phasegate` into",
    );
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let stranger = SshSigner::new("ada");
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = stranger.sign(&statement(&plan)).unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::UnknownKey { fingerprint } if fingerprint.starts_with("SHA256:")),
        "which no allowed signer has",
    );
}

#[test]
fn a_key_that_is_revoked_is_refused() {
    let (plan, ada, grace) = (plan(), SshSigner::new("ada"), SshSigner::new("grace"));
    let people = [&ada, &grace];
    let revoked = RevokedKeys::parse(&format!("{}\n", ada.public_key())).unwrap();
    let approvals = SignedApprovals::new(&plan, anyone(&people), signers(&people));
    let mut approvals = approvals.revoked_keys(revoked);
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::Revoked { who, .. } if who == "ada"),
        "is revoked",
    );
    let (text, signature) = grace.sign(&statement(&plan)).unwrap();
    approvals.add(&text, &signature).unwrap();
}

#[test]
fn a_key_is_valid_from_its_first_moment_to_its_last() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let said = |options: &str| {
        let line = format!("ada {options} {}\n", ada.public_key());
        let signers = AllowedSigners::parse(&line).unwrap();
        SignedApprovals::new(&plan, anyone(&[&ada]), signers).add(&text, &signature)
    };
    refused(
        &said("valid-before=\"20200101Z\""),
        |why| matches!(why, VerifyApprovalError::KeyExpired { .. }),
        "not valid any more",
    );
    refused(
        &said("valid-after=\"21000101Z\""),
        |why| matches!(why, VerifyApprovalError::KeyNotYetValid { .. }),
        "not valid yet",
    );
    // One line of several is enough.
    let line = format!(
        "ada valid-before=\"20200101Z\" {0}\nada {0}\n",
        ada.public_key()
    );
    let signers = AllowedSigners::parse(&line).unwrap();
    SignedApprovals::new(&plan, anyone(&[&ada]), signers)
        .add(&text, &signature)
        .unwrap();
}

#[test]
fn a_signer_who_is_not_among_the_approvers_is_refused() {
    let (plan, ada, eve) = (plan(), SshSigner::new("ada"), SshSigner::new("eve"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada, &eve]));
    let (text, signature) = eve.sign(&statement(&plan)).unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::NotEntitled { who, .. } if who == "eve"),
        "not among the approvers of gate `SG_1`: ada",
    );
}

#[test]
fn a_gate_without_a_policy_is_refused() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let rule = GateRule::of(["ada"]).author_may_approve();
    let policy = Policy::builder().gate_named("SG_2", rule).build().unwrap();
    let mut approvals = SignedApprovals::new(&plan, policy, signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::NoPolicy { gate } if gate == "SG_1"),
        "has no policy",
    );
    let denied = approvals.attestation("SG_1").unwrap_err().to_string();
    assert!(denied.contains("has no policy"), "{denied}");
}

#[test]
fn the_signature_of_one_statement_is_not_that_of_another() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (_, signature) = ada.sign(&statement(&plan)).unwrap();
    let text = statement(&plan).bytes().unwrap();
    refused(
        &approvals.add(&text, &signature),
        |why| matches!(why, VerifyApprovalError::DoesNotFit { who } if who == "ada"),
        "does not fit",
    );
}

#[test]
fn no_bit_of_a_statement_or_its_signature_can_be_changed() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let flips = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let flip = |at: usize| {
            let mut changed = bytes.to_vec();
            changed[at / 8] ^= 1 << (at % 8);
            changed
        };
        (0..bytes.len() * 8).map(flip).collect()
    };
    for (at, changed) in flips(&text).iter().enumerate() {
        assert!(
            approvals.add(changed, &signature).is_err(),
            "bit {at} of the statement"
        );
    }
    for (at, changed) in flips(&signature).iter().enumerate() {
        assert!(
            approvals.add(&text, changed).is_err(),
            "bit {at} of the signature"
        );
    }
    for end in 0..text.len() {
        assert!(
            approvals.add(&text[..end], &signature).is_err(),
            "cut at {end}"
        );
    }
    // Only the newline at the end is ignored.
    for end in 0..signature.len() - 1 {
        assert!(
            approvals.add(&text, &signature[..end]).is_err(),
            "cut at {end}"
        );
    }
    assert!(approvals.attestation("SG_1").is_err());
    approvals.add(&text, &signature).unwrap();
}

#[test]
fn a_signature_is_accepted_only_in_the_form_of_ssh_keygen() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let armored = String::from_utf8(signature).unwrap();
    refused(
        &approvals.add(&text, b""),
        |why| matches!(why, VerifyApprovalError::NoSignature),
        "ssh-keygen -Y sign",
    );
    for other in [
        armored.replace('\n', "\r\n"),
        format!("Dear all,\n{armored}"),
        format!("{armored}\n"),
        format!("{armored}{armored}"),
        armored.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        armored.replacen("\nU1NI", "\n U1NI", 1),
        armored.replacen("\nU1NI", "\nU1NI\n", 1),
        armored.lines().collect::<String>(),
    ] {
        refused(
            &approvals.add(&text, other.as_bytes()),
            |why| matches!(why, VerifyApprovalError::NotASignature),
            "unchanged",
        );
    }
    refused(
        &approvals.add(&text, &vec![b'a'; 16 * 1024 + 1]),
        |why| matches!(why, VerifyApprovalError::SignatureTooLarge { .. }),
        "unread",
    );
}

#[test]
fn a_signature_over_the_raw_text_is_not_one_of_a_statement() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let text = statement(&plan).bytes().unwrap();
    for other in [&b""[..], b"\n", &[&text, &b"\n"[..]].concat()] {
        let signature = ada.sign_as(NAMESPACE, other);
        assert!(approvals.add(&text, &signature).is_err());
        let answer = approvals.add(other, &signature);
        assert!(
            matches!(answer, Err(VerifyApprovalError::Statement(_))),
            "{answer:?}"
        );
    }
}
