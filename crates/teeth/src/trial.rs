use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::copy::{Copy, arguments, filter};
use crate::ran::{Ran, first_error};
use crate::{Weakening, embedded, switched};

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

/// Copies of the sources, in which weakenings are tried.
#[derive(Debug)]
pub struct Trials {
    /// The sources as they are, but for the weakening that is tried.
    copy: Copy,
    /// With each weakening that a variable can turn on.
    switched: Copy,
}

impl Trials {
    /// Copies the sources that are under version control, with what was changed in them. What is built goes to a target
    /// directory of its own where other work goes on `beside`; else to that of the sources, which has the dependencies.
    ///
    /// # Errors
    ///
    /// Returns an error if `git` fails, or a file cannot be copied.
    pub fn begin(root: &Path, beside: bool, weakenings: &[Weakening]) -> Result<Self, String> {
        let target = root.join("target");
        let place = target.join("teeth");
        let target = if beside { place.join("target") } else { target };
        let switched = |file: &str, bytes| switched::all(weakenings, file, bytes);
        Ok(Trials {
            copy: Copy::of(root, place.join("copy"), target.clone(), |_, bytes| {
                Ok(bytes)
            })?,
            switched: Copy::of(root, place.join("switched"), target, switched)?,
        })
    }

    pub(crate) fn as_they_are(&self) -> &Copy {
        &self.copy
    }

    /// Applies one weakening, runs its tests until one fails, and undoes it.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be written, or if `cargo` cannot be started.
    pub fn try_one(&self, weakening: &Weakening) -> Result<Outcome, String> {
        if switched::text(weakening).is_some() {
            return self.run_switched(weakening);
        }
        let path = self.copy.path.join(&weakening.file);
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let weakened = text.replacen(&weakening.old, &weakening.new, 1);
        if weakening.file.starts_with("sql/") && weakened.len() <= text.len() {
            return self.run_embedded(weakening, &text, &weakened);
        }
        fs::write(&path, weakened).map_err(|error| error.to_string())?;
        let outcome = self.run(weakening);
        // What was there, and not what the sources are by now.
        fs::write(&path, text).map_err(|error| error.to_string())?;
        outcome
    }

    /// Tries a weakening that a variable turns on: one build serves all of these.
    fn run_switched(&self, weakening: &Weakening) -> Result<Outcome, String> {
        first_caught(weakening, |test| {
            let binary = self.switched.binary(test)?;
            let weak = |with: &[&str]| self.switched.test(&binary, &weakening.id, with);
            let control = |with: &[&str]| self.switched.test(&binary, "", with);
            caught(weakening, test, weak, control)
        })
    }

    /// Tries a weakening of an embedded file, in copies of the test binaries: one build serves all of these.
    fn run_embedded(
        &self,
        weakening: &Weakening,
        text: &str,
        weakened: &str,
    ) -> Result<Outcome, String> {
        let own = std::process::id();
        let copy = self.copy.target.join(format!("weakened-{own}"));
        let control = self.copy.target.join(format!("control-{own}"));
        first_caught(weakening, |test| {
            let binary = self.copy.binary(test)?;
            if !embedded::replace(&binary, &copy, text, weakened)? {
                return Ok(None); // no test of this binary installs the schema
            }
            embedded::replace(&binary, &control, text, embedded::harmless(text)?)?;
            let weak = |with: &[&str]| self.copy.test(&copy, "", with);
            let control = |with: &[&str]| self.copy.test(&control, "", with);
            caught(weakening, test, weak, control)
        })
    }

    /// Builds the copy with the weakening in it.
    fn run(&self, weakening: &Weakening) -> Result<Outcome, String> {
        if weakening.refused_by_the_compiler {
            let built = self
                .copy
                .cargo(&["check", "--quiet", "-p", "phasegate", "--lib"])?;
            return Ok(if built.failed {
                Outcome::RefusedByTheCompiler
            } else {
                Outcome::Survived
            });
        }
        for test in &weakening.tests {
            let ran = self.copy.cargo(&arguments(test))?;
            if !ran.failed {
                continue;
            }
            if ran.text.contains("could not compile `phasegate` (lib)") {
                return Ok(Outcome::DoesNotBuild(first_error(&ran.text)));
            }
            if ran.line_with("error: no test target named").is_some() {
                return Err(format!("{}: there is no test `{test}`", weakening.id));
            }
            return Ok(Outcome::Caught(format!("{test}: {}", ran.failure())));
        }
        Ok(Outcome::Survived)
    }
}

/// Tries the tests of a weakening until one ends its trial.
fn first_caught(
    weakening: &Weakening,
    mut attempt: impl FnMut(&str) -> Result<Option<Outcome>, String>,
) -> Result<Outcome, String> {
    for test in &weakening.tests {
        if let Some(outcome) = attempt(test)? {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Survived)
}

/// Returns how a trial ends with this test; `None` if the test passes. A test that has failed fails again by itself,
/// and does not fail in the control, which has no weakening.
fn caught(
    weakening: &Weakening,
    test: &str,
    weak: impl Fn(&[&str]) -> Result<Ran, String>,
    control: impl Fn(&[&str]) -> Result<Ran, String>,
) -> Result<Option<Outcome>, String> {
    let ran = weak(&["--", filter(test)])?;
    if ran.timed_out {
        return Ok(Some(Outcome::Caught(format!("{test}: {}", ran.failure()))));
    }
    for name in ran.failures() {
        let alone = ["--exact", name];
        let again = weak(&alone)?;
        if let Some(error) = again.line_with("not installed: ") {
            return Ok(Some(Outcome::DoesNotBuild(error)));
        }
        if again.failed && !control(&alone)?.failed {
            return Ok(Some(Outcome::Caught(format!("{test}: {name}"))));
        }
        eprintln!("{}: {name} fails by chance, or always", weakening.id);
    }
    Ok(None)
}
