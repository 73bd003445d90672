use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What a run of cargo-mutants found: `crates/teeth/mutants.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mutants {
    /// The version of cargo-mutants.
    pub version: String,
    /// How many mutants it lists for each folder.
    pub listed: Vec<Listed>,
    /// The runs, each of a part of them.
    pub run: Vec<MutantRun>,
    /// The mutants that no test caught.
    #[serde(default)]
    pub missed: Vec<Missed>,
}

/// How many mutants cargo-mutants makes of a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Listed {
    /// The folder, from the root of the repository.
    pub folder: String,
    /// How many mutants.
    pub mutants: u32,
}

/// A run of cargo-mutants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MutantRun {
    /// The day, as `2026-01-31`.
    pub date: String,
    /// The command.
    pub command: String,
    /// How many mutants a test caught.
    pub caught: u32,
    /// How many made a test wait until its time was over.
    pub timeout: u32,
    /// How many did not build.
    pub unviable: u32,
    /// How many no test caught.
    pub missed: u32,
}

/// A mutant that no test caught.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Missed {
    /// The mutant, as cargo-mutants names it, without line and column.
    pub mutant: String,
    /// The test that was added, or the reason why none is needed.
    pub done: String,
}

impl Mutants {
    /// Reads what was found.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or does not name each mutant that was missed.
    pub fn read(root: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(root.join("crates/teeth/mutants.toml"));
        let text = text.map_err(|error| format!("mutants.toml: {error}"))?;
        let found: Mutants =
            toml::from_str(&text).map_err(|error| format!("mutants.toml: {error}"))?;
        let missed: u32 = found.run.iter().map(|run| run.missed).sum();
        if usize::try_from(missed) == Ok(found.missed.len()) {
            Ok(found)
        } else {
            Err(format!(
                "mutants.toml: {missed} were missed, and others are named"
            ))
        }
    }

    /// Makes the section of the page.
    pub(crate) fn section(&self) -> String {
        let listed: u32 = self.listed.iter().map(|of| of.mutants).sum();
        let tried: u32 = self.run.iter().map(MutantRun::tried).sum();
        let mut section = format!(
            "\n## Mutants of `src/typed` and `src/engine`\n\n\
             Weakenings are chosen by hand. [cargo-mutants](https://mutants.rs) {} makes mutants of each function: another value \
             returned, an operator exchanged. `.cargo/mutants.toml` has the tests that are run with each mutant.\n\n\
             {listed} mutants; tried: {tried}.\n\n| folder | mutants |\n|---|---|\n",
            self.version
        );
        for of in &self.listed {
            let _ = writeln!(section, "| `{}` | {} |", of.folder, of.mutants);
        }
        if self.run.is_empty() {
            section.push_str("\nNo run is recorded yet.\n");
            return section;
        }
        section.push_str(
            "\n| date | command | tried | caught | too slow | do not build | missed |\n|---|---|---|---|---|---|---|\n",
        );
        for run in &self.run {
            let _ = writeln!(
                section,
                "| {} | `{}` | {} | {} | {} | {} | {} |",
                run.date,
                run.command,
                run.tried(),
                run.caught,
                run.timeout,
                run.unviable,
                run.missed
            );
        }
        if !self.missed.is_empty() {
            section.push_str("\n| missed | what was done |\n|---|---|\n");
        }
        for one in &self.missed {
            let mutant = one.mutant.replace('|', "\\|");
            let _ = writeln!(section, "| `{mutant}` | {} |", one.done);
        }
        section
    }
}

impl MutantRun {
    fn tried(&self) -> u32 {
        self.caught + self.timeout + self.unviable + self.missed
    }
}
