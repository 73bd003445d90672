use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// One small change that makes the crate or its schema less safe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Weakening {
    /// Its name, in lower case with dashes.
    pub id: String,
    /// The file, from the root of the repository.
    pub file: String,
    /// The text that it replaces; the file has it exactly once.
    pub old: String,
    /// The text that it puts in its place.
    pub new: String,
    /// The tests that are tried, in this order, until one fails: the name of a test binary, and after a colon a filter;
    /// `lib` for the unit tests, `ui:FOLDER` for a folder of `ui-tests`.
    pub tests: Vec<String>,
    /// Whether the compiler itself is to refuse it: the crate does not build.
    #[serde(default)]
    pub refused_by_the_compiler: bool,
    /// Why no test can catch it, where none can.
    #[serde(default)]
    pub survives_because: Option<String>,
    /// Whether it is one of the few that are tried in each run of the continuous integration.
    #[serde(default)]
    pub quick: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    weakening: Vec<Weakening>,
}

/// Reads every weakening, in the order of the files' names.
///
/// # Errors
///
/// Returns an error if a file cannot be read, if two weakenings have one name, or if one does not fit its file: the old
/// text is not there exactly once.
pub fn all(root: &Path) -> Result<Vec<Weakening>, String> {
    let directory = root.join("crates/teeth/weakenings");
    let entries =
        fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut paths: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file: File =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        all.extend(file.weakening);
    }
    let mut names = BTreeSet::new();
    for weakening in &all {
        if !names.insert(&weakening.id) {
            return Err(format!("two weakenings are called {}", weakening.id));
        }
        weakening.fits(root)?;
    }
    Ok(all)
}

impl Weakening {
    /// Checks that its file has the old text exactly once.
    fn fits(&self, root: &Path) -> Result<(), String> {
        let text = fs::read_to_string(root.join(&self.file))
            .map_err(|error| format!("{}: {}: {error}", self.id, self.file))?;
        match text.matches(&self.old).count() {
            1 if self.old != self.new => Ok(()),
            1 => Err(format!("{}: it changes nothing", self.id)),
            times => Err(format!(
                "{}: {} has its old text {times} times, and not once",
                self.id, self.file
            )),
        }
    }
}
