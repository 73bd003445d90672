use std::collections::{BTreeMap, BTreeSet};

use crate::{Outcome, Results, Trials};

impl Trials {
    /// Runs each test that caught a weakening on the sources as they are, and returns those that fail: they would have
    /// caught nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if `cargo` cannot be started.
    pub fn control(&self, results: &Results) -> Result<Vec<String>, String> {
        let mut binaries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for outcome in results.0.values() {
            let Outcome::Caught(by) = outcome else {
                continue;
            };
            let (test, name) = by.split_once(": ").unwrap_or((by, ""));
            let binary = test.split(':').next().unwrap_or(test);
            // The programs of `ui` are cases of one test. Where a test did not build, or did not end, it has no name.
            let name = if binary == "ui" || name.contains(' ') {
                ""
            } else {
                name
            };
            binaries.entry(binary).or_default().insert(name);
        }
        let mut failed = Vec::new();
        for (binary, names) in binaries {
            let mut arguments = vec!["test", "-p", "phasegate"];
            match binary {
                "lib" => arguments.push("--lib"),
                binary => arguments.extend(["--test", binary]),
            }
            if !names.contains("") {
                arguments.extend(["--", "--exact"]);
                arguments.extend(names);
            }
            let ran = self.as_they_are().cargo(&arguments)?;
            eprintln!("{binary}: {}", if ran.failed { "fails" } else { "passes" });
            if ran.failed {
                failed.push(format!("{binary}: {}", ran.failure()));
            }
        }
        Ok(failed)
    }
}
