use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Weakening;

/// The longest time that one test may take, in seconds: one that does not end is caught.
const PATIENCE: &str = "900";

/// How the trial of one weakening ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "by", rename_all = "snake_case")]
pub enum Outcome {
    /// This test failed.
    Caught(String),
    /// The crate does not build with it.
    RefusedByTheCompiler,
    /// No test that it names failed.
    Survived,
    /// It does not build, although it should.
    DoesNotBuild(String),
}

/// The recorded outcome of each weakening, by its name.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Results(pub BTreeMap<String, Outcome>);

impl Results {
    fn path(root: &Path) -> PathBuf {
        root.join("crates/teeth/results.toml")
    }

    /// Reads the recorded outcomes; none if nothing was recorded.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is there and cannot be read.
    pub fn read(root: &Path) -> Result<Self, String> {
        match fs::read_to_string(Results::path(root)) {
            Ok(text) => toml::from_str(&text).map_err(|error| format!("results.toml: {error}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(format!("results.toml: {error}")),
        }
    }

    /// Records the outcomes.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn write(&self, root: &Path) -> Result<(), String> {
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        fs::write(Results::path(root), text).map_err(|error| error.to_string())
    }
}

/// A copy of the sources, in which weakenings are tried.
#[derive(Debug)]
pub struct Trials {
    root: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

impl Trials {
    /// Copies the sources that are under version control, with what was changed in them. What is built goes to a target
    /// directory of its own where other work goes on `beside`; else to that of the sources, which has the dependencies.
    ///
    /// # Errors
    ///
    /// Returns an error if `git` fails, or a file cannot be copied.
    pub fn begin(root: &Path, beside: bool) -> Result<Self, String> {
        let target = root.join("target");
        let place = target.join("teeth");
        let trials = Trials {
            root: root.to_owned(),
            copy: place.join("copy"),
            target: if beside { place.join("target") } else { target },
        };
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            trials.restore(file)?;
        }
        Ok(trials)
    }

    /// Copies one file, unless the copy is the same already: its time is what the compiler goes by.
    fn restore(&self, file: &str) -> Result<(), String> {
        let (from, to) = (self.root.join(file), self.copy.join(file));
        let Ok(bytes) = fs::read(&from) else {
            return Ok(()); // removed, and still listed
        };
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let parent = to.parent().unwrap_or(&self.copy);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&to, bytes))
            .and_then(|()| fs::set_permissions(&to, fs::metadata(&from)?.permissions()))
            .map_err(|error| format!("{}: {error}", to.display()))
    }

    /// Applies one weakening, runs its tests until one fails, and takes it back.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be written, or `cargo` cannot be started.
    pub fn try_one(&self, weakening: &Weakening) -> Result<Outcome, String> {
        let path = self.copy.join(&weakening.file);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        fs::write(&path, text.replacen(&weakening.old, &weakening.new, 1))
            .map_err(|error| error.to_string())?;
        let outcome = self.run(weakening);
        // What was there, and not what the sources are by now.
        fs::write(&path, text).map_err(|error| error.to_string())?;
        outcome
    }

    fn run(&self, weakening: &Weakening) -> Result<Outcome, String> {
        if weakening.refused_by_the_compiler {
            let built = self.cargo(&["check", "--quiet", "-p", "phasegate", "--lib"])?;
            return Ok(if built.failed {
                Outcome::RefusedByTheCompiler
            } else {
                Outcome::Survived
            });
        }
        for test in &weakening.tests {
            let ran = self.cargo(&arguments(test))?;
            if !ran.failed {
                continue;
            }
            if ran.text.contains("could not compile `phasegate` (lib)") {
                return Ok(Outcome::DoesNotBuild(first_error(&ran.text)));
            }
            return Ok(Outcome::Caught(format!("{test}: {}", ran.failure())));
        }
        Ok(Outcome::Survived)
    }

    fn cargo<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Ran, String> {
        let output = Command::new("timeout")
            .args(["--kill-after=10", PATIENCE, "cargo"])
            .args(arguments)
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .output()
            .map_err(|error| format!("timeout cargo: {error}"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Ran {
            failed: !output.status.success(),
            timed_out: output.status.code() == Some(124),
            text: without_colours(&text),
        })
    }
}

/// Returns the arguments of `cargo` for a test as weakenings name it.
fn arguments(test: &str) -> Vec<String> {
    let (binary, filter) = test.split_once(':').unwrap_or((test, ""));
    let mut arguments: Vec<String> = ["test", "-p", "phasegate"].map(str::to_owned).into();
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|one| (*one).to_owned()));
    match binary {
        "lib" => add(&["--lib"]),
        binary => add(&["--test", binary]),
    }
    match (binary, filter) {
        ("ui", "") => add(&["--", "illegal"]),
        ("ui", folder) => add(&["--", "illegal", &format!("trybuild={folder}")]),
        (_, "") => {}
        (_, filter) => add(&["--", filter]),
    }
    arguments
}

/// What a command of `cargo` printed.
struct Ran {
    failed: bool,
    timed_out: bool,
    text: String,
}

impl Ran {
    /// Returns the first test that failed, or what failed in its place.
    fn failure(&self) -> String {
        let ends = ["... FAILED", "... mismatch", "... error"];
        let failed = self.text.lines().find_map(|line| {
            let line = line.trim();
            let name = line.strip_prefix("test ")?;
            let name = ends.iter().find_map(|end| name.strip_suffix(end))?;
            Some(name.trim().to_owned())
        });
        if let Some(name) = failed {
            name
        } else if self.timed_out {
            format!("it did not end within {PATIENCE} seconds")
        } else if self.text.contains("could not compile") {
            format!("the test does not build: {}", first_error(&self.text))
        } else {
            "it ended with an error".to_owned()
        }
    }
}

/// Returns the text without the sequences by which a terminal is told colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

fn first_error(text: &str) -> String {
    let error = text.lines().find(|line| line.starts_with("error"));
    error.unwrap_or("error").chars().take(120).collect()
}
