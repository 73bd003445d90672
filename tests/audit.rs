//! The lists of `docs/audit.md` are those of the source: mints, ways to obtain a witness, what to read, and what shows it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/audit.md";

/// The types that prove something.
const WITNESSES: [&str; 11] = [
    "Switch",
    "KillSwitchOn",
    "Approval",
    "Receipt",
    "Phase",
    "PhaseCall",
    "Attempt",
    "UnresolvedPhase",
    "ErasedPhase",
    "Plan",
    "Attestation",
];

fn page() -> String {
    fs::read_to_string(PAGE).unwrap()
}

fn section(title: &str) -> String {
    let page = page();
    let (_, after) = page.split_once(&format!("\n## {title}\n")).unwrap();
    after.split("\n## ").next().unwrap().to_owned()
}

/// The texts between backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The files of the typed shell, without comments.
fn shell() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir("src/typed").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| line.split("//").next().unwrap());
        files.push((
            path.to_str().unwrap().to_owned(),
            lines.collect::<Vec<_>>().join("\n"),
        ));
    }
    assert!(files.len() > 15, "the shell is not where it was");
    files
}

/// The name of the function that a place of the source is in.
fn function_at(text: &str, at: usize) -> &str {
    let begin = text[..at].rfind("fn ").unwrap() + 3;
    let end = text[begin..].find(['<', '(']).unwrap();
    &text[begin..begin + end]
}

#[test]
fn the_list_of_mints_is_that_of_the_source() {
    let mut minted = Vec::new();
    for (file, text) in shell() {
        for (at, _) in text.match_indices("::mint") {
            let before = &text[..at];
            let token = before
                .rsplit(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap();
            minted.push(format!("{file} {} {token}", function_at(&text, at)));
        }
    }
    let section = section("Every place that mints a token");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut listed: Vec<_> = rows
        .map(|row| {
            let names = code(row);
            format!("{} {} {}", names[0], names[1], names[2])
        })
        .collect();
    minted.sort();
    listed.sort();
    assert_eq!(minted, listed, "left: the source, right: docs/audit.md");
}

#[test]
fn each_token_is_written_as_a_struct_in_one_place() {
    let shell = shell();
    for (token, function) in [
        ("Switch", "mint"),
        ("Approval", "mint"),
        ("Receipt", "mint"),
        ("Brand", "mint"),
        ("Phase", "new"),
    ] {
        let mut written = Vec::new();
        for (file, text) in &shell {
            for (at, _) in text.match_indices(&format!("{token} {{")) {
                let line = text[..at].rsplit('\n').next().unwrap();
                let literal = line.trim().is_empty() || line.trim() == "Ok(";
                if literal {
                    written.push(format!("{file} {}", function_at(text, at)));
                }
            }
            let by_self = text.matches("Self {\n").count() - text.matches("-> Self {\n").count();
            let defines = text.contains(&format!("pub struct {token}<"))
                || text.contains(&format!("struct {token}<"));
            assert!(!defines || by_self == 0, "{file}: `Self {{ .. }}`");
        }
        assert_eq!(written.len(), 1, "{token}: {written:?}");
        assert!(written[0].ends_with(&format!(" {function}")), "{written:?}");
    }
}

#[test]
fn no_mint_and_no_seal_is_visible_outside_the_shell() {
    let mut seen = 0;
    for (file, text) in shell() {
        let declares = |line: &&str| line.contains("fn mint(") || line.contains("mod sealed {");
        for line in text.lines().filter(declares) {
            seen += 1;
            let line = line.trim();
            let visible = line.split("fn ").next().unwrap();
            let visible = visible.split("mod ").next().unwrap().trim();
            assert!(
                ["", "pub(in crate::typed)"].contains(&visible),
                "{file}: {line}"
            );
        }
    }
    assert!(
        seen >= 9,
        "the mints and seals are not where they were: {seen}"
    );
}

#[test]
fn every_public_way_to_a_witness_is_on_the_page() {
    let section = section("Every way to obtain a witness");
    let listed: BTreeSet<_> = code(&section).into_iter().collect();
    let api = fs::read_to_string("docs/public-api.txt").unwrap();
    let mut missing = BTreeSet::new();
    let mut seen = 0;
    for line in api.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        let path = rest.split(['<', '(', ':']).next().unwrap_or_default();
        let whole: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || "_:".contains(*c))
            .collect();
        let whole = whole.trim_end_matches(':');
        let gives = match kind {
            // What a function returns, and what a closure that it takes is given.
            "fn" => {
                let signature = rest.split(" where ").next().unwrap();
                let returned = signature.rsplit_once(") -> ").map_or("", |(_, it)| it);
                let lent = rest.split("for<'run> FnOnce(").nth(1).unwrap_or_default();
                returns_witness(returned) || returns_witness(lent)
            }
            "field" => rest
                .split_once(": ")
                .is_some_and(|(_, of)| returns_witness(of)),
            _ => false,
        };
        // A setter returns the type whose method it is, and that is no new witness of another type.
        if !gives || path.is_empty() {
            continue;
        }
        seen += 1;
        let parts: Vec<_> = whole.split("::").collect();
        let item = parts
            .iter()
            .rposition(|part| part.starts_with(char::is_uppercase) && !is_variant(&parts, part))
            .map_or(whole.to_owned(), |at| parts[at..].join("::"));
        let variant: Vec<_> = item.split("::").take(2).collect();
        if !listed.contains(item.as_str()) && !listed.contains(variant.join("::").as_str()) {
            missing.insert(item);
        }
    }
    assert!(seen > 20, "docs/public-api.txt is not what it was");
    assert!(missing.is_empty(), "not in docs/audit.md: {missing:#?}");
}

/// Whether a part of a path is a variant: what is before it is a type too.
fn is_variant(parts: &[&str], part: &str) -> bool {
    let at = parts.iter().position(|one| one == &part).unwrap();
    at > 0 && parts[at - 1].starts_with(char::is_uppercase)
}

fn returns_witness(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    // A report holds a plan, and is listed by its field.
    words.into_iter().any(|word| WITNESSES.contains(&word))
}

#[test]
fn what_the_page_says_to_read_is_there() {
    for line in page().lines().filter(|line| line.starts_with("| ")) {
        for name in code(line) {
            let file = ["src/", "ui-tests/", "tests/", "sql/", "docs/"]
                .iter()
                .any(|folder| name.starts_with(folder));
            assert!(!file || Path::new(name).exists(), "{name}");
        }
    }
    let section = section("What to read");
    for line in section.lines().filter(|line| line.starts_with("| `src/")) {
        let names = code(line.split(" | ").next().unwrap());
        let text = fs::read_to_string(names[0]).unwrap();
        for item in names
            .iter()
            .skip(1)
            .filter(|name| !name.starts_with("src/"))
        {
            let name = item.rsplit("::").next().unwrap();
            let name = name
                .strip_prefix("struct ")
                .or(name.strip_prefix("trait "))
                .unwrap_or(name);
            let word: String = name
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            assert!(
                text.contains(&word) || *item == "Plan::from_saved",
                "{item} in {}",
                names[0]
            );
        }
    }
}
