//! The source has layers: what a file imports is on a lower one, or on its own, and never in a cycle.
//!
//! `docs/architecture.md` describes the layers; this reads the imports.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The folders and files of `src`, from the lowest layer up. A layer imports from those before it.
const LAYERS: [&[&str]; 10] = [
    &["base"],
    &["plan"],
    &["authority", "kill_switch", "observer"],
    &["outcome", "traced"],
    &["database"],
    &["connecting", "evidence", "gates"],
    &["engine", "report"],
    &["typed"],
    &["program", "bin"],
    &["testing", "prelude", "lib"],
];

/// The lines of Rust that the core may have, tests of single modules included; without `FEATURES`.
const MOST_LINES: usize = 27_500;

/// The folders that are features by themselves and no part of what performs a phase, and the lines that each may have.
const FEATURES: [(&str, usize); 4] = [
    ("connecting", 2_200),
    ("program", 5_400),
    ("report", 1_000),
    ("testing", 6_500),
];

/// The lines that a file may have.
const MOST_LINES_OF_A_FILE: usize = 520;

/// A path in the tree of modules: `["database", "session"]`.
type Module = Vec<String>;

struct Source {
    /// Each file, by the module that it is.
    files: BTreeMap<Module, String>,
    /// What a module exports from elsewhere, by name.
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
    /// The paths that a module imports or names.
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let source = Source::read();
    let edges = source.edges();
    let mut done = BTreeSet::new();
    for start in edges.keys() {
        let mut path = Vec::new();
        if let Some(cycle) = cycle(start, &edges, &mut path, &mut done) {
            panic!("a cycle of files: {cycle:?}");
        }
    }
}

#[test]
fn each_layer_imports_from_lower_ones() {
    let source = Source::read();
    for (file, imported) in source.edges() {
        for other in imported {
            let (upper, lower) = (layer(&file), layer(&other));
            assert!(
                lower < upper || file[0] == other[0],
                "{file:?} imports {other:?}, which is not on a lower layer"
            );
        }
    }
}

#[test]
fn only_the_typed_shell_mints() {
    for (file, text) in Source::read().files {
        if file.first().is_none_or(|folder| folder != "typed") {
            assert!(!text.contains("mint"), "{file:?} speaks of minting");
        }
    }
}

/// A command line that could make, verify or weaken an approval would be a second place to audit.
#[test]
fn the_program_makes_and_weakens_nothing() {
    let forbidden = [
        "assert_verified",
        "UnsignedApprovals",
        "dangerously_",
        "impl Authority",
        "Attestation::",
        "Brand",
        "on_while",
        "unprotect",
        "dry_run",
        "dry-run",
    ];
    let mut read = 0;
    for (file, text) in Source::read().files {
        if !file
            .first()
            .is_some_and(|folder| ["program", "bin"].contains(&&**folder))
        {
            continue;
        }
        read += 1;
        for word in forbidden {
            assert!(!text.contains(word), "{file:?} has `{word}`");
        }
    }
    assert!(read >= 20, "the program is not where it was");
}

#[test]
fn only_the_database_layer_has_sql() {
    for (file, text) in Source::read().files {
        let has_sql = ["\"SELECT ", "\"BEGIN", "\"INSERT ", "\"SET "]
            .iter()
            .any(|sql| code(&text).contains(sql));
        let may = file
            .first()
            .is_some_and(|folder| ["database", "evidence", "testing"].contains(&&**folder));
        assert!(may || !has_sql, "{file:?} has SQL");
    }
}

#[test]
fn the_core_and_its_files_stay_small() {
    let source = Source::read();
    let lines = |text: &String| text.lines().count();
    let feature = |file: &Module| {
        let of_file = |(folder, _): &(&str, usize)| file.first().is_some_and(|it| it == folder);
        FEATURES.iter().position(of_file)
    };
    let mut sums = [0; FEATURES.len()];
    let mut core = 0;
    for (file, text) in &source.files {
        match feature(file) {
            Some(n) => sums[n] += lines(text),
            None => core += lines(text),
        }
    }
    assert!(core <= MOST_LINES, "the core has {core} lines");
    for ((folder, most), sum) in FEATURES.into_iter().zip(sums) {
        assert!(sum > 0 && sum <= most, "`{folder}` has {sum} lines");
    }
    for (file, text) in &source.files {
        let lines = lines(text);
        assert!(lines <= MOST_LINES_OF_A_FILE, "{file:?} has {lines} lines");
    }
}

#[test]
fn a_cycle_and_a_wrong_layer_would_be_found() {
    let source = Source::of([
        ("lib", ""),
        ("base", "pub(crate) mod digest;"),
        ("base/digest", "use crate::plan::Plan;"),
        ("plan", "mod read;\npub use read::Plan;"),
        (
            "plan/read",
            "use crate::base::digest::Digest;\npub struct Plan(Digest);",
        ),
    ]);
    let edges = source.edges();
    let (read, digest) = (module("plan/read"), module("base/digest"));
    assert!(edges[&read].contains(&digest) && edges[&digest].contains(&read));
    let found = cycle(&read, &edges, &mut Vec::new(), &mut BTreeSet::new());
    assert!(found.is_some());
    assert!(layer(&digest) < layer(&read));
}

fn layer(file: &Module) -> usize {
    let folder = file.first().map_or("lib", String::as_str);
    let layer = LAYERS.iter().position(|layer| layer.contains(&folder));
    layer.unwrap_or_else(|| panic!("`{folder}` is on no layer: put it into LAYERS"))
}

fn cycle(
    at: &Module,
    edges: &BTreeMap<Module, BTreeSet<Module>>,
    path: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> Option<Vec<Module>> {
    if let Some(start) = path.iter().position(|file| file == at) {
        return Some(path[start..].to_vec());
    }
    if done.contains(at) {
        return None;
    }
    path.push(at.clone());
    for next in edges.get(at).into_iter().flatten() {
        if let Some(found) = cycle(next, edges, path, done) {
            return Some(found);
        }
    }
    path.pop();
    done.insert(at.clone());
    None
}

fn module(path: &str) -> Module {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != "lib")
        .map(str::to_owned)
        .collect()
}

/// The text without comments and without the tests of the module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(tree: &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(
            head.split("::")
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
        );
        let (mut depth, mut from) = (0, 0);
        let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
        for (at, character) in inner.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    paths(&inner[from..at], &prefix, found);
                    from = at + 1;
                }
                _ => {}
            }
        }
        paths(&inner[from..], &prefix, found);
    } else if !tree.is_empty() {
        let name = tree.split(" as ").next().unwrap_or_default();
        let mut path = prefix.to_vec();
        path.extend(
            name.split("::")
                .map(str::trim)
                .filter(|it| !it.is_empty())
                .map(str::to_owned),
        );
        found.push(path);
    }
}

impl Source {
    fn read() -> Self {
        let mut files = Vec::new();
        collect(Path::new("src"), "", &mut files);
        assert!(files.len() > 80, "the source is not where it was");
        Source::of(
            files
                .iter()
                .map(|(path, text)| (path.as_str(), text.as_str())),
        )
    }

    fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let files: BTreeMap<_, _> = files
            .into_iter()
            .map(|(path, text)| (module(path), text.to_owned()))
            .collect();
        let mut source = Source {
            exports: BTreeMap::new(),
            imports: BTreeMap::new(),
            files,
        };
        for (file, text) in source.files.clone() {
            source.read_imports(&file, &code(&text));
        }
        source
    }

    fn read_imports(&mut self, file: &Module, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find("use ") {
            let line = rest[..at].rsplit('\n').next().unwrap_or_default().trim();
            let exports = line.starts_with("pub");
            let begins = line.is_empty() || exports;
            rest = &rest[at + 4..];
            let Some((tree, after)) = rest.split_once(';').filter(|_| begins) else {
                continue;
            };
            rest = after;
            let mut found = Vec::new();
            paths(tree, &[], &mut found);
            for path in found {
                if let Some(path) = self.absolute(file, &path) {
                    if exports && let Some(name) = path.last() {
                        let of_file = self.exports.entry(file.clone()).or_default();
                        of_file.insert(name.clone(), path);
                    } else {
                        self.imports.entry(file.clone()).or_default().insert(path);
                    }
                }
            }
        }
        for named in text.split("crate::").skip(1) {
            let end = named.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = named[..end.unwrap_or(named.len())].split("::");
            let path = path
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect();
            self.imports.entry(file.clone()).or_default().insert(path);
        }
    }

    /// The path from the root of the crate; `None` if it leads to another crate.
    fn absolute(&self, file: &Module, path: &[String]) -> Option<Module> {
        let first = path.first()?;
        let inner = || {
            self.files
                .contains_key(&[file.as_slice(), std::slice::from_ref(first)].concat())
        };
        match first.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([file, &path[1..]].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                Some([&file[..file.len().checked_sub(ups)?], &path[ups..]].concat())
            }
            _ if inner() => Some([file, path].concat()),
            _ => None,
        }
    }

    /// The file in which what a path names is defined, through what is exported on the way.
    fn defines(&self, path: &[String], depth: usize) -> Option<Module> {
        let at = (0..=path.len())
            .rev()
            .find(|&n| self.files.contains_key(&path[..n]))?;
        let (file, rest) = path.split_at(at);
        let exported = rest
            .first()
            .and_then(|name| self.exports.get(file)?.get(name));
        match exported.filter(|exported| exported.as_slice() != path && depth < 10) {
            Some(exported) => self.defines(&[exported, &rest[1..]].concat(), depth + 1),
            None => Some(file.to_vec()),
        }
    }

    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (file, paths) in &self.imports {
            let defined = paths.iter().filter_map(|path| self.defines(path, 0));
            let others = defined.filter(|other| other != file && !other.is_empty());
            edges.entry(file.clone()).or_default().extend(others);
        }
        edges
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{stem}/"), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = match stem {
                "mod" => prefix.to_owned(),
                stem => format!("{prefix}{stem}"),
            };
            // Tests of a module stand in a file of their own where they are long.
            if stem != "tests" {
                files.push((module, fs::read_to_string(&path).unwrap()));
            }
        }
    }
}
