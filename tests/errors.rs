//! Errors are an interface: each has a code, a page that lists it, and a message that names no remedy.
//!
//! `docs/errors.md` is made by this; `PHASEGATE_RECORD=1 cargo test --test errors` writes it again.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
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

/// The enums whose codes `src/outcome/code.rs` has.
const ENDINGS: [(&str, &str); 3] = [
    ("src/outcome/refusal.rs", "RefusalReason"),
    ("src/outcome/approval_refusal.rs", "ApprovalRefusal"),
    ("src/outcome/rollback.rs", "RollbackCause"),
];

/// The other enums that are errors, each with its heading on the page.
const ENUMS: [(&str, &str, &str); 24] = [
    ("Plans", "src/plan/read.rs", "PlanError"),
    ("The files of inputs", "src/plan/input.rs", "InputsError"),
    (
        "Admitted plans",
        "src/database/admitted_plan.rs",
        "AdmittedPlanError",
    ),
    (
        "Inputs and outputs",
        "src/base/canonical/mod.rs",
        "NotCanonical",
    ),
    ("Files", "src/base/files.rs", "ReadFileError"),
    (
        "Statements of a phase",
        "src/database/statement.rs",
        "SqlError",
    ),
    (
        "Read-only sessions",
        "src/database/read_only.rs",
        "ReadOnlyError",
    ),
    (
        "Installing the schema",
        "src/database/schema/error.rs",
        "InstallError",
    ),
    (
        "Settings of a connection",
        "src/connecting/error.rs",
        "EndpointError",
    ),
    ("The journal", "src/database/journal.rs", "JournalError"),
    ("Evidence", "src/evidence/bundle.rs", "EvidenceError"),
    (
        "Inputs in the evidence",
        "src/evidence/bundle.rs",
        "AddInputsError",
    ),
    (
        "Inconsistent evidence",
        "src/evidence/check.rs",
        "EvidenceFlaw",
    ),
    (
        "The directory of the evidence",
        "src/evidence/files.rs",
        "BundleNotWritten",
    ),
    (
        "Approval statements",
        "src/authority/ssh/statement_file.rs",
        "ParseApprovalError",
    ),
    (
        "Signatures",
        "src/authority/ssh/refused.rs",
        "VerifyApprovalError",
    ),
    ("Keys", "src/authority/ssh/key.rs", "UnfitKey"),
    (
        "Allowed signers",
        "src/authority/ssh/allowed_signers.rs",
        "AllowedSignersError",
    ),
    (
        "Lines of allowed signers",
        "src/authority/ssh/allowed_signers.rs",
        "SignerFlaw",
    ),
    (
        "Revoked keys",
        "src/authority/ssh/revoked_keys.rs",
        "RevokedKeysError",
    ),
    ("Policies", "src/authority/ssh/policy.rs", "PolicyError"),
    (
        "Committed gate tables",
        "src/gates/file.rs",
        "GatesFileError",
    ),
    (
        "The commands of a program",
        "src/program/error.rs",
        "ProgramError",
    ),
    (
        "The PostgreSQL of tests",
        "src/testing/postgres/error.rs",
        "ServerError",
    ),
];

/// The errors of one kind, each with one code.
const STRUCTS: [(&str, &str); 8] = [
    ("src/database/operator.rs", "OperatorError"),
    ("src/database/connector.rs", "ConnectError"),
    ("src/database/journal.rs", "BrokenChain"),
    ("src/kill_switch/mod.rs", "SwitchUnreadable"),
    ("src/authority/attestation.rs", "Denied"),
    ("src/authority/ssh/signed.rs", "RejectedApprovalFile"),
    ("src/outcome/doubt.rs", "ResolveError"),
    ("src/base/digest.rs", "DigestError"),
];

/// What an error has that passes on the code of another.
const OF_ITS_CAUSE: &str = "that of its cause";

/// Each variant of `name`, and its code, in the order of the source.
fn codes(file: &str, name: &str) -> Vec<(String, String)> {
    let is_ending = ENDINGS.iter().any(|(_, ending)| *ending == name);
    let file = if is_ending {
        "src/outcome/code.rs"
    } else {
        file
    };
    let source = fs::read_to_string(file).unwrap();
    let table = if is_ending {
        &*source
    } else {
        let begin = source.find(&format!("\nimpl {name} {{\n")).unwrap();
        let table = source[begin..].split_once("pub fn code(&self)").unwrap().1;
        table.split("\n    }\n").next().unwrap()
    };
    let prefix = format!("{name}::");
    let lines = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix(&prefix));
    let coded = lines.filter_map(|line| {
        let variant: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
        let code = line.split_once("=> ")?.1.trim_end_matches(',');
        let code = match code.strip_suffix(".code()") {
            Some(_) => OF_ITS_CAUSE,
            None => code.strip_prefix('"')?.strip_suffix('"')?,
        };
        Some((variant, code.to_owned()))
    });
    coded.collect()
}

/// The code of a struct, and the first line of its documentation.
fn coded_struct(file: &str, name: &str) -> (String, String) {
    let source = fs::read_to_string(file).unwrap();
    let block = source.split(&format!("\nimpl {name} {{\n")).nth(1).unwrap();
    let body = block.split("pub fn code(&self)").nth(1).unwrap();
    let body = body.lines().nth(1).unwrap().trim();
    let code = match body.strip_suffix(".code()") {
        Some(_) => OF_ITS_CAUSE,
        None => body.trim_matches('"'),
    };
    let before = source
        .split(&format!("\npub struct {name}"))
        .next()
        .unwrap();
    let documented = before.rsplit("\n\n").next().unwrap();
    let about: String = documented
        .lines()
        .map_while(|line| line.strip_prefix("///"))
        .collect();
    let about = about.trim().split(". ").next().unwrap();
    (code.to_owned(), about.trim_end_matches('.').to_owned())
}

/// A code as the page shows it.
fn shown(code: &str) -> String {
    if code == OF_ITS_CAUSE {
        code.to_owned()
    } else {
        format!("`{code}`")
    }
}

fn table(file: &str, name: &str) -> String {
    let documented = documented(file, name);
    let mut rows = String::from("| code | variant | what it means |\n|---|---|---|\n");
    for (variant, code) in codes(file, name) {
        let about = &documented[&variant];
        // Links of the documentation do not resolve on this page.
        let about: String = about
            .split("](")
            .map(|part| part.split_once(')').map_or(part, |(_, rest)| rest))
            .collect::<String>()
            .replace(['[', ']'], "");
        let code = shown(&code);
        rows.push_str(&format!("| {code} | `{name}::{variant}` | {about} |\n"));
    }
    rows
}

/// The errors that are no way to end.
fn others() -> String {
    let mut page = String::from("| code | type | what it means |\n|---|---|---|\n");
    for (file, name) in STRUCTS {
        let (code, about) = coded_struct(file, name);
        page.push_str(&format!("| {} | `{name}` | {about} |\n", shown(&code)));
    }
    for (heading, file, name) in ENUMS {
        page.push_str(&format!("\n### {heading}\n\n{}", table(file, name)));
    }
    page
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
         Every error has the same three parts: `code()` returns a stable name, `Display` says what failed, and `hint()` what to \
         do. This page is made by `tests/errors.rs`.\n\n\
         ## Refused: nothing was touched\n\n{}\n\
         A gate that was not passed (`RefusalReason::Approval`) has the code of its reason:\n\n{}\n\
         ## Rolled back: tried, and nothing of it remains\n\n{}\n\
         ## The rest\n\n\
         | code | type | what it means |\n|---|---|---|\n\
         | `in_doubt` | `InDoubt` | Whether a phase was committed is not known |\n\
         | `incomplete` | `Incomplete` | The pipeline returned `Ok` before every planned phase was performed |\n\n\
         ## Errors outside of a run\n\n{}\n\
         ## SQLSTATEs that the engine reads\n\n\
         The schema raises these, of class `ZG`; others of the class are bugs of a caller that is not this crate.\n\n{}",
        table("src/outcome/refusal.rs", "RefusalReason"),
        table("src/outcome/approval_refusal.rs", "ApprovalRefusal"),
        table("src/outcome/rollback.rs", "RollbackCause"),
        others(),
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
fn each_error_has_a_code_of_its_own() {
    let mut seen = BTreeSet::new();
    let mut is_new = |code: &str, of: &str| {
        let new = code == OF_ITS_CAUSE || seen.insert(code.to_owned());
        assert!(new, "{of} has the code of another, `{code}`");
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(code == OF_ITS_CAUSE || code.chars().all(plain), "{code}");
    };
    let enums = ENUMS.iter().map(|(_, file, name)| (*file, *name));
    for (file, name) in ENDINGS.into_iter().chain(enums) {
        let codes = codes(file, name);
        for (variant, code) in &codes {
            is_new(code, &format!("{name}::{variant}"));
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
    for (file, name) in STRUCTS {
        is_new(&coded_struct(file, name).0, name);
    }
}

/// Those that are parts of another, which has the code and the hint.
const PARTS: [&str; 3] = ["Invalid", "NotPlain", "SqlRefusal"];

#[test]
fn every_public_error_has_a_code_and_a_hint() {
    let mut sources = Vec::new();
    collect(Path::new("src"), &mut sources);
    let all = sources.concat();
    let mut found = BTreeSet::new();
    for source in &sources {
        for declared in source.split("thiserror::Error)]\n").skip(1) {
            let public = declared.lines().find_map(|line| {
                let rest = line.strip_prefix("pub struct ");
                rest.or_else(|| line.strip_prefix("pub enum "))
            });
            let name = public.unwrap().split(|c: char| !c.is_alphanumeric());
            found.insert(name.into_iter().next().unwrap().to_owned());
        }
        for implemented in source.split("Error for ").skip(1) {
            let name = implemented.split(|c: char| !c.is_alphanumeric()).next();
            found.insert(name.unwrap().to_owned());
        }
    }
    assert!(found.len() > 30, "{found:?}");
    for name in found {
        let of_it = |function: &str| {
            let begin = format!("\nimpl {name} {{\n");
            let mut blocks = all.split(&begin).skip(1);
            blocks.any(|block| block.split("\n}\n").next().unwrap().contains(function))
        };
        let part = PARTS.contains(&&*name) || name.starts_with("RefusalReason");
        assert!(part || of_it("pub fn code(&self)"), "{name} has no code");
        // The hint of a cause is that of the rollback, which knows the phase.
        let part = part || name == "RollbackCause";
        assert!(part || of_it("pub fn hint(&self)"), "{name} has no hint");
    }
}

fn collect(folder: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.file_stem().is_some_and(|stem| stem != "tests") {
            let source = fs::read_to_string(&path).unwrap();
            // Without the tests of the module.
            let code = source.split("#[cfg(test)]\nmod ").next().unwrap();
            sources.push(format!("\n{code}"));
        }
    }
}
