//! `docs/compile-errors.md` has the first line of each message as the compiler writes it, and a right program beside it.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = "docs/compile-errors.md";

/// The diagnostics in the source link the page by this address.
const ADDRESS: &str = "https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#";

/// One mistake of the page.
struct Mistake {
    title: String,
    /// The first line of the message, and a label of it if one line is not enough.
    message: Vec<String>,
    wrong: String,
    right: String,
}

fn mistakes() -> Vec<Mistake> {
    let page = fs::read_to_string(PAGE).unwrap();
    let sections = page.split("\n### ").skip(1);
    let mistakes = sections.map(|section| {
        let title = section.lines().next().unwrap().to_owned();
        let block = |begin: &str| {
            let (_, after) = section
                .split_once(&format!("```{begin}\n"))
                .unwrap_or_else(|| panic!("{title}: no block of {begin}"));
            after.split("```").next().unwrap().to_owned()
        };
        Mistake {
            message: block("text").lines().map(str::to_owned).collect(),
            wrong: program(&block("rust,compile_fail")),
            right: program(&block("rust")),
            title,
        }
    });
    mistakes.collect()
}

/// A whole program of a block, without the line that the documentation hides.
fn program(block: &str) -> String {
    let setting = fs::read_to_string("docs/compile-errors.rs").unwrap();
    let own = block.lines().filter(|line| !line.starts_with("# "));
    let own: Vec<_> = own.collect();
    format!(
        "#![allow(unused, dropping_references)]\n{setting}\n{}\nfn main() {{}}\n",
        own.join("\n")
    )
}

fn anchor(title: &str) -> String {
    let lower = title.to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// A crate whose examples are the programs; each is named for its mistake.
fn lay_out(mistakes: &[Mistake]) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-errors");
    let examples = home.join("examples");
    let _ = fs::remove_dir_all(&examples);
    fs::create_dir_all(&examples).unwrap();
    let here = env!("CARGO_MANIFEST_DIR");
    let manifest = format!(
        "[package]\nname = \"compile-errors\"\nversion = \"0.0.0\"\nedition = \"2024\"\nautobins = false\n\n[workspace]\n\n\
         [dependencies]\nphasegate = {{ path = {here:?} }}\npostgres = \"0.19.14\"\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n\n[lib]\npath = \"lib.rs\"\n"
    );
    fs::write(home.join("Cargo.toml"), manifest).unwrap();
    fs::write(home.join("lib.rs"), "").unwrap();
    fs::copy("Cargo.lock", home.join("Cargo.lock")).unwrap();
    for mistake in mistakes {
        let name = anchor(&mistake.title);
        fs::write(examples.join(format!("{name}--wrong.rs")), &mistake.wrong).unwrap();
        fs::write(examples.join(format!("{name}--right.rs")), &mistake.right).unwrap();
    }
    home
}

/// A message without the paths that the compiler writes in some crates, and not in others.
fn same_names(message: &str) -> String {
    let message = message.replace("StdError", "std::error::Error");
    message.replace("phasegate::", "")
}

/// The errors of each program, as the compiler writes them.
fn compiled(home: &Path) -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--examples",
            "--keep-going",
            "--offline",
            "--quiet",
            "--message-format=json",
        ])
        .current_dir(home)
        .env("CARGO_TARGET_DIR", home.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut reported = 0;
    for line in text.lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        reported += 1;
        if message["reason"] == "compiler-message" && message["message"]["level"] == "error" {
            let name = message["target"]["name"].as_str().unwrap().to_owned();
            let rendered = message["message"]["rendered"].as_str().unwrap().to_owned();
            errors.entry(name).or_default().push(rendered);
        }
    }
    assert!(reported > 0, "{}", String::from_utf8_lossy(&output.stderr));
    errors
}

#[test]
fn wrong_programs_have_their_line_and_right_ones_compile() {
    let mistakes = mistakes();
    assert!(mistakes.len() > 25, "the page is not where it was");
    let errors = compiled(&lay_out(&mistakes));
    let mut different = String::new();
    for mistake in &mistakes {
        let name = anchor(&mistake.title);
        if let Some(errors) = errors.get(&format!("{name}--right")) {
            different += &format!(
                "\n{}: the right program:\n{}",
                mistake.title,
                errors.join("\n")
            );
        }
        let Some(wrong) = errors.get(&format!("{name}--wrong")) else {
            different += &format!("\n{}: the wrong program compiles\n", mistake.title);
            continue;
        };
        let first = &same_names(&wrong[0]);
        let label = mistake.message.get(1);
        if first.lines().next()
            != mistake
                .message
                .first()
                .map(|line| same_names(line))
                .as_deref()
            || label.is_some_and(|label| !first.contains(&same_names(label)))
        {
            different += &format!("\n{}: the message is\n{first}", mistake.title);
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn each_mistake_has_a_first_line_and_an_address_of_its_own() {
    let mistakes = mistakes();
    let anchors: BTreeSet<_> = mistakes
        .iter()
        .map(|mistake| anchor(&mistake.title))
        .collect();
    let messages: BTreeSet<_> = mistakes.iter().map(|mistake| &mistake.message).collect();
    assert_eq!(anchors.len(), mistakes.len());
    assert!(messages.len() + 1 >= mistakes.len(), "{messages:#?}");
    for mistake in &mistakes {
        let first = &mistake.message[0];
        let alone = first != "error[E0308]: mismatched types";
        assert!(alone || mistake.message.len() == 2, "{}", mistake.title);
    }
}

#[test]
fn the_notes_of_the_source_link_sections_that_are_there() {
    let anchors: BTreeSet<_> = mistakes()
        .iter()
        .map(|mistake| anchor(&mistake.title))
        .collect();
    let mut linked = BTreeSet::new();
    for file in ["src/typed", "src/authority", "src/kill_switch"] {
        for entry in fs::read_dir(file).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("#[diagnostic::on_unimplemented(") {
                let diagnostic = text[at..].split(")]").next().unwrap();
                let link = diagnostic.split(ADDRESS).nth(1);
                let link =
                    link.unwrap_or_else(|| panic!("no link: {}: {diagnostic}", path.display()));
                linked.insert(link.split('"').next().unwrap().to_owned());
            }
        }
    }
    assert!(linked.len() > 15, "{linked:?}");
    let missing: Vec<_> = linked.difference(&anchors).collect();
    assert!(missing.is_empty(), "no such section: {missing:?}");
}
