//! What must not compile, does not, and says what to do instead; its legal twin compiles.
//!
//! One illegal idea per file, in a folder per invariant, named for the mistake. `pass.rs` beside
//! them has, under the same name, the nearest program that is legal, so that no case fails for the
//! wrong reason.

#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

use std::fs;
use std::path::{Path, PathBuf};

/// The legal twins compile with this file.
macro_rules! legal_twins {
    ($($folder:ident $path:literal),+ $(,)?) => {
        $(
            // They are as near to the mistakes as can be, not as short as can be.
            #[allow(clippy::all, clippy::pedantic, clippy::print_stdout)]
            #[path = $path]
            mod $folder;
        )+

        const LEGAL_TWINS: &[&str] = &[$(stringify!($folder)),+];
    };
}

legal_twins! {
    approvals "../ui-tests/approvals/pass.rs",
    doubt "../ui-tests/doubt/pass.rs",
    forging "../ui-tests/forging/pass.rs",
    generic "../ui-tests/generic/pass.rs",
    order "../ui-tests/order/pass.rs",
    performers "../ui-tests/performers/pass.rs",
    program "../ui-tests/program/pass.rs",
    runners "../ui-tests/runners/pass.rs",
    scope "../ui-tests/scope/pass.rs",
    seals "../ui-tests/seals/pass.rs",
    switch "../ui-tests/switch/pass.rs",
    transaction "../ui-tests/transaction/pass.rs",
}

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
fn the_legal_twins_of_each_folder_are_compiled() {
    let names: Vec<_> = folders()
        .iter()
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, LEGAL_TWINS);
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
