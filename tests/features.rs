//! Without the feature `testing`, no double is reachable.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Those of the build of this test.
    cargo
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS");
    cargo
}

#[test]
fn no_feature_is_on_by_default_and_dev_dependencies_alone_have_testing() {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--offline",
        "-e",
        "no-dev,features",
        "-p",
        "phasegate",
    ]);
    let output = tree.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("phasegate"),
        "{text}"
    );
    assert!(!text.contains("testing"), "{text}");
}

#[test]
fn without_the_feature_no_double_is_reachable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path();
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\nphasegate = {{ path = {root:?} }}\n[workspace]\n"
    );
    fs::write(program.join("Cargo.toml"), manifest).unwrap();
    fs::copy(root.join("Cargo.lock"), program.join("Cargo.lock")).unwrap();
    fs::create_dir(program.join("src")).unwrap();
    let check = |main: &str| {
        fs::write(program.join("src/main.rs"), main).unwrap();
        let mut check = cargo();
        check
            .current_dir(program)
            .args(["check", "--offline", "--all-targets"]);
        // Kept, so that only the first run compiles what it needs.
        check.env("CARGO_TARGET_DIR", root.join("target/without_testing"));
        let output = check.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (compiles, said) = check("use phasegate::LiveRunner as _;\nfn main() {}\n");
    assert!(compiles, "{said}");
    let (compiles, said) = check("use phasegate::testing::TestSwitch as _;\nfn main() {}\n");
    assert!(!compiles);
    assert!(
        said.contains("E0432") && said.contains("`testing`"),
        "{said}"
    );
}
