//! What must not compile, does not, and says what to do instead; its legal twin compiles.
//!
//! One illegal idea per file, in a folder per invariant, named for the mistake. `pass.rs` beside
//! them has, under the same name, the nearest program that is legal, so that no case fails for the
//! wrong reason.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

// Apart from each other: where nothing has to run, all are checked at once.

#[test]
fn illegal_programs_do_not_compile() {
    let cases = trybuild::TestCases::new();
    for folder in folders() {
        for mistake in mistakes(&folder) {
            cases.compile_fail(mistake);
        }
    }
}

#[test]
fn their_legal_twins_do() {
    let cases = trybuild::TestCases::new();
    for folder in folders() {
        cases.pass(folder.join("pass.rs"));
    }
}

#[test]
fn every_mistake_has_its_message_and_its_legal_twin() {
    let folders = folders();
    assert!(
        folders.len() >= 8,
        "the suite is not where it was: {folders:?}"
    );
    for folder in folders {
        let twins = fs::read_to_string(folder.join("pass.rs")).unwrap();
        let mistakes = mistakes(&folder);
        assert!(!mistakes.is_empty(), "{}", folder.display());
        for mistake in mistakes {
            let name = mistake.file_stem().unwrap().to_str().unwrap();
            let twin = [format!("fn {name}("), format!("fn {name}<")];
            assert!(
                twin.iter().any(|twin| twins.contains(twin)),
                "{}/pass.rs has no `fn {name}`",
                folder.display()
            );
            assert!(
                mistake.with_extension("stderr").exists(),
                "{name}.stderr is missing"
            );
        }
        for message in files(&folder, "stderr") {
            assert!(
                message.with_extension("rs").exists(),
                "orphan: {}",
                message.display()
            );
        }
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = entries(Path::new("ui-tests"))
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn mistakes(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder, "rs");
    files.retain(|file| file.file_name().unwrap() != "pass.rs");
    files
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = entries(folder);
    files.retain(|file| file.extension().is_some_and(|it| it == extension));
    files.sort();
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}
