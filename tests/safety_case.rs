//! What `docs/safety-case.md` names is there, and every program that must not compile belongs to an invariant.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/safety-case.md";

/// One invariant of the page: its sentence, and the rows of its table.
struct Invariant {
    sentence: String,
    rows: Vec<(String, String)>,
}

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

fn invariants() -> Vec<Invariant> {
    let page = page();
    let (_, after) = page.split_once("\n## The invariants\n").unwrap();
    let section = after.split("\n## ").next().unwrap();
    let blocks = section.split("\n### ").skip(1);
    let invariants = blocks.map(|block| Invariant {
        sentence: block.lines().next().unwrap().to_owned(),
        rows: block
            .lines()
            .filter_map(|line| {
                let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
                let (name, text) = row.split_once(" | ")?;
                Some((name.to_owned(), text.to_owned()))
            })
            .collect(),
    });
    invariants.collect()
}

impl Invariant {
    fn row(&self, name: &str) -> &str {
        let found = self.rows.iter().find(|(row, _)| row == name);
        let (_, text) = found.unwrap_or_else(|| panic!("{}: no row `{name}`", self.sentence));
        text
    }
}

/// The texts between backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The programs that a name stands for: a file, a folder, or a folder and the beginning of names.
fn programs(name: &str) -> Vec<PathBuf> {
    if let Some(beginning) = name.strip_suffix('*') {
        let (folder, beginning) = beginning.rsplit_once('/').unwrap();
        let mut found = mistakes(Path::new(folder));
        found.retain(|file| {
            file.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(beginning)
        });
        return found;
    }
    let path = Path::new(name);
    if path.is_dir() {
        mistakes(path)
    } else {
        vec![path.to_owned()]
    }
}

fn mistakes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "rs"));
    files.retain(|file| file.file_name().unwrap() != "pass.rs");
    files.sort();
    files
}

/// Whether a test of this name is in the file.
fn has_test(file: &str, test: &str) -> bool {
    let source = fs::read_to_string(file).unwrap_or_else(|_| panic!("{file} is not there"));
    let name = format!("fn {test}(");
    source.find(&name).is_some_and(|at| {
        let above = source[..at].rsplit("\n\n").next().unwrap();
        above.contains("#[test]") || above.contains("proptest!")
    })
}

#[test]
fn each_invariant_has_layers_signature_tests_and_bounds() {
    let invariants = invariants();
    assert!(invariants.len() >= 14, "the page is not where it was");
    for (invariant, number) in invariants.iter().zip(1..) {
        let numbered = format!("{number}. ");
        assert!(
            invariant.sentence.starts_with(&numbered),
            "{}",
            invariant.sentence
        );
        for row in ["layers", "signature", "tests", "not covered"] {
            assert!(!invariant.row(row).is_empty());
        }
    }
}

#[test]
fn each_signature_stands_in_its_file() {
    for invariant in invariants() {
        let named = code(invariant.row("signature"));
        let [file, signature] = named.as_slice() else {
            panic!("{}: a file and a signature", invariant.sentence);
        };
        let text = fs::read_to_string(file).unwrap_or_else(|_| panic!("{file} is not there"));
        assert!(
            text.contains(signature.as_str()),
            "{file} has no `{signature}`"
        );
    }
}

#[test]
fn each_named_test_and_file_is_there() {
    let mut tests = 0;
    for name in page().lines().flat_map(code) {
        let folders = ["src/", "tests/", "ui-tests/", "crates/", "sql/", "docs/"];
        if !folders.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        if let Some((file, test)) = name.split_once(": ") {
            assert!(has_test(file, test), "{file} has no test {test}");
            tests += 1;
        } else {
            let named = programs(&name);
            assert!(!named.is_empty(), "{name} names nothing");
            for file in named {
                assert!(file.exists(), "{} is not there", file.display());
            }
        }
    }
    assert!(tests > 50, "{tests} tests are named");
}

#[test]
fn each_named_item_is_public_or_in_the_source() {
    let mut source = String::new();
    collect(Path::new("src"), &mut source);
    for invariant in invariants() {
        for row in ["layers", "not covered"] {
            for item in code(invariant.row(row)) {
                let last = item.rsplit("::").next().unwrap();
                let word: String = last
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let there = item.contains('/')
                    || item.contains('.')
                    || word.is_empty()
                    || source.contains(&word);
                assert!(there, "{}: `{item}`", invariant.sentence);
            }
        }
    }
}

#[test]
fn every_ui_test_belongs_to_an_invariant() {
    let mut claimed = BTreeSet::new();
    for invariant in invariants() {
        for name in code(invariant.row("tests")) {
            if name.starts_with("ui-tests/") {
                claimed.extend(programs(name.trim_end_matches('/')));
            }
        }
    }
    let mut all = BTreeSet::new();
    for folder in fs::read_dir("ui-tests").unwrap() {
        all.extend(mistakes(&folder.unwrap().path()));
    }
    assert!(all.len() > 100, "the ui-tests are not where they were");
    let orphans: Vec<_> = all.difference(&claimed).collect();
    assert!(
        orphans.is_empty(),
        "belong to no invariant of {PAGE}: {orphans:#?}"
    );
}

#[test]
fn every_known_hole_of_the_types_is_on_the_page() {
    let page = page();
    let holes = fs::read_to_string("tests/holes.rs").unwrap();
    for (at, _) in holes.match_indices("#[test]\nfn ") {
        let name = holes[at + 11..].split('(').next().unwrap();
        let known = page.contains(&format!("tests/holes.rs: {name}"));
        assert!(
            known || name == "two_specs_of_one_name_cannot_be_in_one_run",
            "{name}"
        );
    }
}

fn collect(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
