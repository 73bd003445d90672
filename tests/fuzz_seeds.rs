//! What the fuzz targets begin with is what its name says, or they would begin with nothing.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use phasegate::{
    Digest, Plan,
    approval::ApprovalStatement,
    ssh::{AllowedSigners, Policy, RevokedKeys, SignedApprovals},
};

/// Has `accepts` read every seed of `target`, which is named for whether it does.
fn each_seed(target: &str, accepts: impl Fn(&[u8]) -> Result<(), String>) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus-seeds");
    let (mut accepted, mut refused) = (0, 0);
    for seed in fs::read_dir(seeds.join(target)).unwrap() {
        let seed = seed.unwrap();
        let name = seed.file_name().into_string().unwrap();
        let answer = accepts(&fs::read(seed.path()).unwrap());
        assert_eq!(
            answer.is_ok(),
            name.starts_with("accepted"),
            "{name}: {answer:?}"
        );
        *if answer.is_ok() {
            &mut accepted
        } else {
            &mut refused
        } += 1;
    }
    assert!(accepted > 0 && refused > 0, "{accepted} and {refused}");
}

/// Whether it was accepted, and why not.
fn said<T, E: std::fmt::Display>(answer: Result<T, E>) -> Result<(), String> {
    answer.map(drop).map_err(|refusal| refusal.to_string())
}

fn seed(path: &str) -> Vec<u8> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus-seeds")
            .join(path),
    )
    .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn seeds_are_what_their_names_say() {
    each_seed("plan", |bytes| said(Plan::inspect(bytes)));
    each_seed("statement", |bytes| {
        said(ApprovalStatement::from_bytes(bytes))
    });
    each_seed("policy", |bytes| said(Policy::from_json(bytes)));
    each_seed("allowed_signers", |bytes| {
        said(AllowedSigners::parse(text(bytes)))
    });
    each_seed("revoked_keys", |bytes| {
        said(RevokedKeys::parse(text(bytes)))
    });
    let plan = seed("plan/accepted");
    let plan = Plan::from_saved(&plan, Digest::of(&plan)).unwrap();
    each_seed("signature", |signature| {
        let policy = Policy::from_json(&seed("policy/accepted")).unwrap();
        let signers = AllowedSigners::parse(text(&seed("allowed_signers/accepted"))).unwrap();
        let mut approvals = SignedApprovals::new(&plan, policy, signers);
        said(approvals.add(&seed("statement/accepted"), signature))
    });
}

#[test]
fn every_target_is_built_and_has_seeds() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut targets = 0;
    for target in fs::read_dir(fuzz.join("targets")).unwrap() {
        let path = target.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            manifest.contains(&format!("[[bin]]\nname = \"{name}\"\n")),
            "{name}"
        );
        assert!(
            name == "planted" || fuzz.join("corpus-seeds").join(name).is_dir(),
            "{name}"
        );
        targets += 1;
    }
    assert_eq!(targets, manifest.matches("[[bin]]").count());
}
