//! The list of weakenings fits the sources, and the page is that of the list.
#![allow(clippy::unwrap_used)]

use std::fs;

use phasegate_teeth::{Mutants, Outcome, Results, all, page, root};

#[test]
fn each_weakening_fits_its_file_and_is_more_than_120() {
    let weakenings = all(&root()).unwrap();
    assert!(weakenings.len() >= 120, "{}", weakenings.len());
    assert!(weakenings.iter().filter(|one| one.quick).count() >= 6);
    for weakening in &weakenings {
        assert!(
            weakening.refused_by_the_compiler
                || !weakening.tests.is_empty()
                || weakening.survives_because.is_some(),
            "{} names no test",
            weakening.id
        );
    }
}

#[test]
fn each_test_that_is_named_exists() {
    let root = root();
    for weakening in all(&root).unwrap() {
        for test in &weakening.tests {
            let (binary, filter) = test.split_once(':').unwrap_or((test, ""));
            let paths = match binary {
                "lib" => vec!["src/lib.rs".to_owned()],
                "ui" => vec![format!("ui-tests/{filter}")],
                binary => vec![
                    format!("tests/{binary}.rs"),
                    format!("tests/{binary}/main.rs"),
                ],
            };
            let exists = paths.iter().any(|path| root.join(path).exists());
            assert!(exists, "{}: there is no test `{test}`", weakening.id);
        }
    }
}

#[test]
fn the_page_is_that_of_the_list_and_of_the_outcomes() {
    let root = root();
    let (weakenings, results) = (all(&root).unwrap(), Results::read(&root).unwrap());
    let written = fs::read_to_string(root.join("docs/teeth.md")).unwrap();
    let made = page(&weakenings, &results, &Mutants::read(&root).unwrap());
    let differs = written
        .lines()
        .zip(made.lines())
        .find(|(one, other)| one != other);
    assert!(
        written == made,
        "run `cargo run -p phasegate-teeth -- --page`: {differs:?}"
    );
}

#[test]
fn what_survives_has_a_reason() {
    let root = root();
    let results = Results::read(&root).unwrap();
    for weakening in all(&root).unwrap() {
        if let Some(Outcome::Survived | Outcome::DoesNotBuild(_)) = results.0.get(&weakening.id) {
            assert!(
                weakening.survives_because.is_some(),
                "{} survived",
                weakening.id
            );
        }
    }
}
