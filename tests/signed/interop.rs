//! The real `ssh-keygen` signs and we verify; we sign and it verifies.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use phasegate::testing::SshSigner;
use phasegate::{
    Plan, Sg1,
    ssh::{
        AllowedSigners, GateRule, NAMESPACE, Policy, RevokedKeys, SignedApprovals, UnfitKey,
        VerifyApprovalError,
    },
};

use crate::keygen::{Key, Keys};
use crate::{plan, statement};

/// The kinds of keys that people have, as `ssh-keygen` makes them.
const KINDS: [&[&str]; 7] = [
    &["-t", "ed25519"],
    &["-t", "ecdsa", "-b", "256"],
    &["-t", "ecdsa", "-b", "384"],
    &["-t", "ecdsa", "-b", "521"],
    &["-t", "rsa", "-b", "2048"],
    &["-t", "rsa", "-b", "3072"],
    &["-t", "rsa", "-b", "4096"],
];

/// Approvals of `plan` by `ada`, who has this key.
pub(crate) fn approvals_by(plan: &Plan, public: &str) -> SignedApprovals {
    let rule = GateRule::of(["ada"]).author_may_approve();
    let policy = Policy::builder().gate::<Sg1>(rule).build().unwrap();
    let signers = AllowedSigners::parse(&format!("ada {public}\n")).unwrap();
    SignedApprovals::new(plan, policy, signers)
}

fn counts(plan: &Plan, key: &Key, text: &[u8], signature: &[u8]) {
    let mut approvals = approvals_by(plan, &key.public);
    approvals.add(text, signature).unwrap();
    let attestation = approvals.attestation("SG_1").unwrap();
    assert_eq!(attestation.approver(), "ada");
    let evidence = attestation.evidence().unwrap();
    assert_eq!(evidence.statements[0].statement.as_bytes(), text);
    assert_eq!(evidence.statements[0].signature.as_bytes(), signature);
}

#[test]
fn a_signature_of_ssh_keygen_counts_for_its_statement_only() {
    let (keys, plan) = (Keys::new(), plan());
    let (text, other) = (
        statement(&plan).bytes().unwrap(),
        statement(&plan).bytes().unwrap(),
    );
    for kind in KINDS {
        let key = keys.make(&kind.concat(), kind);
        let signature = key.sign(NAMESPACE, &text);
        counts(&plan, &key, &text, &signature);
        let refused = approvals_by(&plan, &key.public).add(&other, &signature);
        assert!(
            matches!(refused, Err(VerifyApprovalError::DoesNotFit { .. })),
            "{kind:?}: {refused:?}"
        );
        // Of each byte of the signature, one bit; of long ones, which are slow, of every eighth byte.
        for at in (0..signature.len()).step_by(if signature.len() > 500 { 8 } else { 1 }) {
            let mut changed = signature.clone();
            changed[at] ^= 1 << (at % 8);
            let taken = approvals_by(&plan, &key.public).add(&text, &changed);
            assert!(taken.is_err(), "{kind:?}, byte {at}");
        }
    }
}

#[test]
fn what_an_agent_signs_counts() {
    let (keys, plan) = (Keys::new(), plan());
    let key = keys.make("held", &["-t", "ed25519"]);
    let agent = keys.agent(&key);
    let text = statement(&plan).bytes().unwrap();
    let signature = agent.sign(&keys.path("held.pub"), NAMESPACE, &text);
    counts(&plan, &key, &text, &signature);
}

#[test]
fn the_file_that_is_written_is_the_one_that_is_signed_and_read() {
    let (keys, plan) = (Keys::new(), plan());
    let key = keys.make("ada", &["-t", "ed25519"]);
    statement(&plan).save(keys.path("approval.json")).unwrap();
    let again = statement(&plan).save(keys.path("approval.json"));
    assert!(again.is_err(), "it was there already");
    keys.sign_file(&key, NAMESPACE, "approval.json");
    let mut approvals = approvals_by(&plan, &key.public);
    approvals.add_file(keys.path("approval.json")).unwrap();
    approvals.attestation("SG_1").unwrap();
    let file = fs::read(keys.path("approval.json")).unwrap();
    assert_eq!(file.last(), Some(&b'}'), "no newline was added");
}

#[test]
fn ssh_keygen_verifies_signatures_of_the_double() {
    let (keys, plan) = (Keys::new(), plan());
    let ada = SshSigner::new("ada");
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let line = ada.allowed_signers_line();
    let verify = |name, text: &[u8]| keys.verify((name, &line, None), NAMESPACE, text, &signature);
    verify("ada", &text).unwrap();
    verify("grace", &text).unwrap_err();
    verify("ada", &[&text, &b"\n"[..]].concat()).unwrap_err();
    // And `ssh-keygen` signs with its key.
    fs::write(keys.path("doubled"), ada.private_key()).unwrap();
    did(Command::new("chmod").arg("600").arg(keys.path("doubled")));
    let key = Key {
        private: keys.path("doubled"),
        public: ada.public_key(),
    };
    let signature = key.sign(NAMESPACE, &text);
    counts(&plan, &key, &text, &signature);
}

fn did(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

/// What both say of a signature of `ada`, with this line before her key: ssh-keygen, and we.
fn both(options: &str) -> (bool, bool) {
    let (keys, plan) = (Keys::new(), plan());
    let key = keys.make("ada", &["-t", "ed25519"]);
    let text = statement(&plan).bytes().unwrap();
    let signature = key.sign(NAMESPACE, &text);
    let allowed = format!("ada {options} {}\n", key.public);
    let theirs = keys.verify(("ada", &allowed, None), NAMESPACE, &text, &signature);
    let ours = AllowedSigners::parse(&allowed).is_ok_and(|signers| {
        let rule = GateRule::of(["ada"]).author_may_approve();
        let policy = Policy::builder().gate::<Sg1>(rule).build().unwrap();
        let mut approvals = SignedApprovals::new(&plan, policy, signers);
        approvals.add(&text, &signature).is_ok()
    });
    (theirs.is_ok(), ours)
}

#[test]
fn the_options_of_a_signer_mean_what_they_mean_to_ssh_keygen() {
    for options in [
        "",
        r#"namespaces="phasegate""#,
        r#"namespaces="git,phasegate""#,
        r#"NameSpaces="phase*""#,
        r#"namespaces="p?ase*gate*""#,
        r#"namespaces="*""#,
        r#"valid-after="20200101Z""#,
        r#"valid-before="21000101Z",namespaces="phasegate""#,
        r#"valid-after="202001010000Z",valid-before="21000101000000Z""#,
    ] {
        assert_eq!(both(options), (true, true), "{options}");
    }
    for options in [
        r#"namespaces="git""#,
        r#"namespaces="phasegat""#,
        r#"namespaces="phasegate2,*x""#,
        r#"namespaces="!phasegate,*""#,
        r#"namespaces="*,!phase*""#,
        r#"namespaces="Phasegate""#,
        "namespaces=phasegate",
        r#"valid-after="21000101Z""#,
        r#"valid-before="20200101Z""#,
        r#"valid-before="20200101000000Z""#,
        "valid-before=21000101Z",
        r#"valid-after="21000101Z",valid-before="20200101Z""#,
        r#"namespaces="phasegate",namespaces="phasegate""#,
        r#"valid-before="soon""#,
        r#"other="phasegate""#,
        "cert-authority",
    ] {
        assert_eq!(both(options), (false, false), "{options}");
    }
}

#[test]
fn a_key_that_is_revoked_is_refused_by_both() {
    let (keys, plan) = (Keys::new(), plan());
    let key = keys.make("ada", &["-t", "ecdsa"]);
    let other = keys.make("other", &["-t", "ed25519"]);
    let text = statement(&plan).bytes().unwrap();
    let signature = key.sign(NAMESPACE, &text);
    let allowed = format!("ada {}\n", key.public);
    let list = format!("# gone\n\n{}\n", other.public);
    let both = |list: &str| {
        let theirs = keys.verify(("ada", &allowed, Some(list)), NAMESPACE, &text, &signature);
        let revoked = RevokedKeys::parse(list).unwrap();
        let mut approvals = approvals_by(&plan, &key.public).revoked_keys(revoked);
        (theirs.is_ok(), approvals.add(&text, &signature))
    };
    assert!(matches!(both(&list), (true, Ok(()))));
    assert!(matches!(both(""), (true, Ok(()))));
    let list = format!("{list}{}\n", key.public);
    let (theirs, ours) = both(&list);
    assert!(!theirs);
    let revoked = matches!(&ours, Err(VerifyApprovalError::Revoked { who, .. }) if who == "ada");
    assert!(revoked, "{ours:?}");
}

#[test]
fn a_signature_of_a_certificate_is_refused_by_its_name() {
    let (keys, plan) = (Keys::new(), plan());
    let (authority, key) = (
        keys.make("authority", &["-t", "ed25519"]),
        keys.make("ada", &["-t", "ed25519"]),
    );
    did(Command::new("ssh-keygen")
        .args(["-q", "-I", "ada", "-n", "ada", "-s"])
        .arg(&authority.private)
        .arg(keys.path("ada.pub")));
    let agent = keys.agent(&key);
    let text = statement(&plan).bytes().unwrap();
    let signature = agent.sign(&keys.path("ada-cert.pub"), NAMESPACE, &text);
    // It is one: the authority's line lets ssh-keygen take it.
    let allowed = format!("ada cert-authority {}\n", authority.public);
    keys.verify(("ada", &allowed, None), NAMESPACE, &text, &signature)
        .unwrap();
    let refused = approvals_by(&plan, &key.public).add(&text, &signature);
    let named = matches!(
        &refused,
        Err(VerifyApprovalError::Key(UnfitKey::Certificate { algorithm }))
            if algorithm == "ssh-ed25519-cert-v01@openssh.com"
    );
    assert!(named, "{refused:?}");
}

#[test]
fn keys_of_bad_length_or_old_algorithm_are_refused_by_name() {
    let (keys, plan) = (Keys::new(), plan());
    let text = statement(&plan).bytes().unwrap();
    let good = keys.make("good", &["-t", "ed25519"]);
    let unfit = |name: &str, arguments: &[&str]| -> UnfitKey {
        let key = keys.make(name, arguments);
        let line = AllowedSigners::parse(&format!("ada {}\n", key.public));
        let signature = key.sign(NAMESPACE, &text);
        let signed = approvals_by(&plan, &good.public).add(&text, &signature);
        match (line, signed) {
            (
                Err(phasegate::ssh::AllowedSignersError::Line {
                    line: 1,
                    flaw: phasegate::ssh::SignerFlaw::Key(flaw),
                }),
                Err(VerifyApprovalError::Key(same)),
            ) if flaw == same => flaw,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        unfit("short", &["-t", "rsa", "-b", "1024"]),
        UnfitKey::ShortRsa { bits: 1024 }
    );
    assert_eq!(
        unfit("almost", &["-t", "rsa", "-b", "2047"]),
        UnfitKey::ShortRsa { bits: 2047 }
    );
    assert_eq!(
        unfit("long", &["-t", "rsa", "-b", "4104"]),
        UnfitKey::LongRsa { bits: 4104 }
    );
    assert_eq!(
        unfit("old", &["-t", "dsa"]),
        UnfitKey::Algorithm {
            algorithm: "ssh-dss".to_owned()
        }
    );
}

#[test]
fn a_list_that_ssh_keygen_gives_up_at_is_refused() {
    let (keys, plan) = (Keys::new(), plan());
    let key = keys.make("ada", &["-t", "ed25519"]);
    let text = statement(&plan).bytes().unwrap();
    let signature = key.sign(NAMESPACE, &text);
    let allowed = format!("ada {}\n", key.public);
    let unrelated = "SHA256:G6ZTFpwmW+rt9ESrj3sFZ0OuKLQ5FQr0EJcLCQdTaaE\n";
    keys.verify(
        ("ada", &allowed, Some(unrelated)),
        NAMESPACE,
        &text,
        &signature,
    )
    .unwrap_err();
    let refused = RevokedKeys::parse(unrelated).unwrap_err().to_string();
    assert!(refused.contains("line 1 is a fingerprint"), "{refused}");
    let list: PathBuf = keys.path("krl");
    did(Command::new("ssh-keygen")
        .args(["-q", "-k", "-f"])
        .arg(&list)
        .arg(keys.path("ada.pub")));
    let refused = RevokedKeys::read(&list).unwrap_err().to_string();
    assert!(refused.contains("binary key revocation list"), "{refused}");
}
