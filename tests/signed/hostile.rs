//! Files of people who mean harm: none is read beyond its limit, none waits, none makes a panic.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use phasegate::testing::SshSigner;
use phasegate::{
    approval::ApprovalStatement,
    error::ReadFileError,
    ssh::{
        AllowedSigners, AllowedSignersError, ParseApprovalError, Policy, PolicyError, RevokedKeys,
        RevokedKeysError, SignedApprovals, VerifyApprovalError,
    },
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{anyone, plan, signers, statement};

/// What each reader says of a file; of a statement, also as one whose signature it is.
fn said(path: &PathBuf) -> [Result<(), ReadFileError>; 6] {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let statement_error = |error| match error {
        ParseApprovalError::File(refused) => Err(refused),
        other => panic!("{other}"),
    };
    let signed_error = |error| match error {
        VerifyApprovalError::File(refused) => Err(refused),
        other => panic!("{other}"),
    };
    let beside = path.with_extension("json");
    std::fs::write(&beside, statement(&plan).bytes().unwrap()).unwrap();
    let sig = path.with_extension("json.sig");
    std::fs::rename(path, &sig).unwrap();
    let signature = approvals.add_file(&beside).map_or_else(signed_error, Ok);
    std::fs::rename(&sig, path).unwrap();
    [
        ApprovalStatement::read(path).map_or_else(statement_error, |_| Ok(())),
        approvals.add_file(path).map_or_else(signed_error, Ok),
        signature,
        AllowedSigners::read(path).map_or_else(
            |error| match error {
                AllowedSignersError::File(refused) => Err(refused),
                other => panic!("{other}"),
            },
            |_| Ok(()),
        ),
        RevokedKeys::read(path).map_or_else(
            |error| match error {
                RevokedKeysError::File(refused) => Err(refused),
                other => panic!("{other}"),
            },
            |_| Ok(()),
        ),
        Policy::read(path).map_or_else(
            |error| match error {
                PolicyError::File(refused) => Err(refused),
                other => panic!("{other}"),
            },
            |_| Ok(()),
        ),
    ]
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_file_of_a_gigabyte_is_refused_and_not_read() {
    let directory = directory();
    let path = directory.path().join("large");
    File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let before = read_by_this_thread();
    for answer in said(&path) {
        assert!(
            matches!(answer, Err(ReadFileError::TooLarge { .. })),
            "{answer:?}"
        );
    }
    let read = read_by_this_thread() - before;
    assert!(read < 16 << 20, "{read} bytes were read");
}

/// How many bytes, by the kernel's count.
fn read_by_this_thread() -> u64 {
    let counts = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

#[test]
fn a_path_that_is_no_file_is_refused_without_waiting() {
    let directory = directory();
    let pipe = directory.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let inside = directory.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    for path in [pipe, inside] {
        for answer in said(&path) {
            assert!(
                matches!(answer, Err(ReadFileError::NotAFile { .. })),
                "{answer:?}"
            );
        }
    }
}

#[test]
fn an_empty_file_is_refused_by_its_own_error() {
    let directory = directory();
    let path = directory.path().join("empty.json");
    File::create(&path).unwrap();
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    assert!(matches!(
        ApprovalStatement::read(&path),
        Err(ParseApprovalError::Empty)
    ));
    File::create(directory.path().join("empty.json.sig")).unwrap();
    let answer = approvals.add_file(&path);
    assert!(matches!(
        answer,
        Err(VerifyApprovalError::Statement(ParseApprovalError::Empty))
    ));
    std::fs::write(&path, statement(&plan).bytes().unwrap()).unwrap();
    let answer = approvals.add_file(&path);
    assert!(
        matches!(answer, Err(VerifyApprovalError::NoSignature)),
        "{answer:?}"
    );
    std::fs::remove_file(directory.path().join("empty.json.sig")).unwrap();
    let answer = approvals.add_file(&path);
    assert!(matches!(
        answer,
        Err(VerifyApprovalError::File(ReadFileError::NotRead { .. }))
    ));
}

#[test]
fn depth_and_huge_numbers_are_refused() {
    for text in [
        "[",
        "{\"a\":",
        "{\"target\":",
        "{\"gates\":{\"a\":",
        "{\"schema\":",
    ] {
        let deep = text.repeat(60_000 / text.len());
        assert!(ApprovalStatement::from_bytes(deep.as_bytes()).is_err());
        assert!(Policy::from_json(deep.as_bytes()).is_err());
    }
    let number = "9".repeat(60_000);
    for text in [
        format!("{{\"expires\":{number}}}"),
        number,
        "1e999999999".to_owned(),
    ] {
        assert!(ApprovalStatement::from_bytes(text.as_bytes()).is_err());
        assert!(Policy::from_json(text.as_bytes()).is_err());
    }
}

#[test]
fn a_pattern_of_many_stars_takes_no_time() {
    let ada = SshSigner::new("ada");
    let pattern = "*a".repeat(50_000);
    let line = format!("ada namespaces=\"{pattern}\" {}\n", ada.public_key());
    let plan = plan();
    let signers = AllowedSigners::parse(&line).unwrap();
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers);
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let start = Instant::now();
    let answer = approvals.add(&text, &signature);
    assert!(matches!(
        answer,
        Err(VerifyApprovalError::NamespaceNotAllowed { .. })
    ));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn too_many_statements_are_refused() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let mut answer = Ok(());
    for _ in 0..=1000 {
        let (text, signature) = ada.sign(&statement(&plan)).unwrap();
        answer = approvals.add(&text, &signature);
    }
    assert!(
        matches!(answer, Err(VerifyApprovalError::TooMany(1000))),
        "{answer:?}"
    );
}

/// A text with some of its bytes replaced, left out, or doubled.
fn mangled(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let place = 0..text.len();
    let change = (place, any::<u8>(), 0..3);
    prop::collection::vec(change, 1..8).prop_map(move |changes| {
        let mut text = text.clone();
        for (at, byte, how) in changes {
            let at = at.min(text.len() - 1);
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

fn samples() -> impl Strategy<Value = Vec<u8>> {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let line = format!(
        "ada,a namespaces=\"x,*\",valid-after=\"20200101Z\" {}\n",
        ada.public_key()
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        mangled(text),
        mangled(signature),
        mangled(line.into_bytes()),
        mangled(anyone(&[&ada]).to_json().into_bytes()),
    ]
}

#[test]
fn random_bytes_cause_no_panic_and_no_approval() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let (good, signature) = ada.sign(&statement(&plan)).unwrap();
    let config = ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(bytes in samples())| {
        let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
        if let Ok(statement) = ApprovalStatement::from_bytes(&bytes) {
            prop_assert_eq!(statement.bytes().unwrap(), &bytes[..], "another text says the same");
        }
        let _ = Policy::from_json(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = AllowedSigners::parse(text);
            let _ = RevokedKeys::parse(text);
        }
        if bytes != good {
            prop_assert!(approvals.add(&bytes, &signature).is_err());
        }
        if bytes != signature {
            prop_assert!(approvals.add(&good, &bytes).is_err() || bytes == signature[..signature.len() - 1]);
        }
    });
}

/// Every text that is read, with a sequence that clears the terminal at each of its places in turn:
/// raw, and as JSON has it.
#[test]
fn no_refusal_prints_a_control_character_of_what_it_refuses() {
    let (plan, ada) = (plan(), SshSigner::new("ada"));
    let (text, signature) = ada.sign(&statement(&plan)).unwrap();
    let line = format!(
        "ada,a namespaces=\"x,*\",valid-after=\"20200101Z\" {}\n",
        ada.public_key()
    );
    let policy = anyone(&[&ada]).to_json().into_bytes();
    let mut refused = 0;
    let mut look = |said: Option<String>| {
        let Some(said) = said else { return };
        refused += 1;
        assert!(!said.contains(char::is_control), "{said:?}");
    };
    for whole in [
        text,
        signature,
        line.into_bytes(),
        policy,
        plan.bytes().to_vec(),
    ] {
        for at in 0..=whole.len() {
            for escape in ["\u{1b}[2J", "\\u001b[2J", "\u{9b}2J\n"] {
                let bytes = [&whole[..at], escape.as_bytes(), &whole[at..]].concat();
                look(
                    ApprovalStatement::from_bytes(&bytes)
                        .err()
                        .map(|e| e.to_string()),
                );
                look(Policy::from_json(&bytes).err().map(|e| e.to_string()));
                look(
                    phasegate::Plan::from_saved(&bytes, phasegate::Digest::of(&bytes))
                        .err()
                        .map(|e| e.to_string()),
                );
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    look(AllowedSigners::parse(text).err().map(|e| e.to_string()));
                    look(RevokedKeys::parse(text).err().map(|e| e.to_string()));
                }
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}
