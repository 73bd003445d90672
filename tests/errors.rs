//! Errors are an interface: each has a code, a page that lists it, and a message that names no remedy.
//!
//! `docs/errors.md` is made by this; `PHASEGATE_RECORD=1 cargo test --test errors` writes it again.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs};

const PAGE: &str = "docs/errors.md";

/// The first line of the documentation of each variant of these enums.
fn documented(file: &str, name: &str) -> BTreeMap<String, String> {
    let source = fs::read_to_string(file).unwrap();
    let start = source.find(&format!("pub enum {name} {{")).unwrap();
    let body = source[start..].split("\n}\n").next().unwrap();
    let mut variants = BTreeMap::new();
    let mut about = String::new();
    for line in body.lines().skip(1) {
        if let Some(text) = line.strip_prefix("    ///") {
            about.push_str(text);
        } else if line.starts_with("    ") && !line.starts_with("     ") {
            let variant: String = line[4..]
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            if variant.is_empty() {
                continue;
            }
            let sentence = about.trim().split(". ").next().unwrap_or_default();
            let sentence = sentence.trim_end_matches('.').replace("(crate::", "(");
            variants.insert(variant, sentence);
            about.clear();
        }
    }
    variants
}

/// Each variant of `name`, and its code, in the order of the source.
fn codes(name: &str) -> Vec<(String, String)> {
    let source = fs::read_to_string("src/outcome/code.rs").unwrap();
    let prefix = format!("{name}::");
    let lines = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&prefix));
    let coded = lines.filter_map(|line| {
        let variant: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
        let code = line.split("=> \"").nth(1)?.split('"').next()?;
        Some((variant, code.to_owned()))
    });
    coded.collect()
}

fn table(file: &str, name: &str) -> String {
    let documented = documented(file, name);
    let mut rows = String::from("| code | variant | what it means |\n|---|---|---|\n");
    for (variant, code) in codes(name) {
        let about = &documented[&variant];
        // Links of the documentation lead nowhere on this page.
        let about: String = about
            .split("](")
            .map(|part| part.split_once(')').map_or(part, |(_, rest)| rest))
            .collect::<String>()
            .replace('[', "");
        rows.push_str(&format!("| `{code}` | `{name}::{variant}` | {about} |\n"));
    }
    rows
}

fn sqlstates() -> String {
    let source = fs::read_to_string("src/base/sqlstate.rs").unwrap();
    let mut rows = String::from("| SQLSTATE | what it means |\n|---|---|\n");
    let mut about = String::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            about.push_str(text);
        } else if line.contains("const ") {
            let state = line.split('"').nth(1).unwrap();
            rows.push_str(&format!(
                "| `{state}` | {} |\n",
                about.trim_end_matches('.')
            ));
            about.clear();
        }
    }
    rows
}

fn page() -> String {
    format!(
        "# Errors\n\n\
         `Error::code()` returns a stable name, `Display` says what failed, and `Error::hint()` what to do. This page is made by \
         `tests/errors.rs`.\n\n\
         ## Refused: nothing was touched\n\n{}\n\
         A gate that was not passed (`RefusalReason::Approval`) has the code of its reason:\n\n{}\n\
         ## Rolled back: tried, and nothing of it remains\n\n{}\n\
         ## The rest\n\n\
         | code | type | what it means |\n|---|---|---|\n\
         | `in_doubt` | `InDoubt` | Whether a phase was committed is not known |\n\
         | `incomplete` | `Incomplete` | The pipeline returned `Ok` before every planned phase was performed |\n\n\
         ## SQLSTATEs that the engine reads\n\n\
         The schema raises these, of class `ZG`; others of the class are bugs of a caller that is not this crate.\n\n{}",
        table("src/outcome/refusal.rs", "RefusalReason"),
        table("src/outcome/approval_refusal.rs", "ApprovalRefusal"),
        table("src/outcome/rollback.rs", "RollbackCause"),
        sqlstates(),
    )
}

#[test]
fn the_page_of_errors_is_that_of_the_source() {
    let page = page();
    if env::var_os("PHASEGATE_RECORD").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    assert_eq!(
        written, page,
        "run PHASEGATE_RECORD=1 cargo test --test errors"
    );
}

#[test]
fn each_variant_has_a_code_of_its_own() {
    let mut seen = BTreeSet::new();
    for (name, file) in [
        ("RefusalReason", "src/outcome/refusal.rs"),
        ("ApprovalRefusal", "src/outcome/approval_refusal.rs"),
        ("RollbackCause", "src/outcome/rollback.rs"),
    ] {
        let codes = codes(name);
        for (variant, code) in &codes {
            assert!(
                seen.insert(code.clone()),
                "{name}::{variant} has the code of another"
            );
        }
        let with_codes: BTreeSet<_> = codes.into_iter().map(|(variant, _)| variant).collect();
        for variant in documented(file, name).into_keys() {
            // A gate that was not passed has the code of its reason.
            assert!(
                with_codes.contains(&variant) || variant == "Approval",
                "{name}::{variant} has no code"
            );
        }
    }
}
