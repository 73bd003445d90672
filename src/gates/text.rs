//! The table as text, Markdown and JSON.

use std::fmt;

use serde_json::json;

use super::{GateTable, GatedPhase};

/// The version of the form of the JSON.
const SCHEMA: &str = "phasegate/gates/1";

impl GateTable {
    /// Returns the table in Markdown, with one row for each phase.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut page = format!(
            "# The gates of `{}`\n\nMade from a run of the pipeline, not by hand. A test fails where this file is stale.\n\n\
             | | phase | kind | mode | gate | after | input | output | tables |\n|---|---|---|---|---|---|---|---|---|\n",
            self.pipeline
        );
        for (phase, place) in self.phases.iter().zip(1..) {
            let after: Vec<_> = phase.after.iter().map(|name| code(name)).collect();
            let changes = phase.changes().join("<br>");
            page += &format!(
                "| {place} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                code(&phase.name),
                phase.kind.words(),
                phase.modes.join(", "),
                cell(&phase.gate()),
                if after.is_empty() {
                    "start".to_owned()
                } else {
                    after.join(", ")
                },
                code(&phase.input),
                code(&phase.output),
                // The only markup in it is that of the line above.
                changes.replace('|', "\\|"),
            );
        }
        page
    }

    /// Returns the table as JSON, indented, in the form `phasegate/gates/1`.
    #[must_use]
    pub fn json(&self) -> String {
        let table = json!({
            "schema": SCHEMA,
            "pipeline": self.pipeline,
            "phases": self.phases,
        });
        format!("{table:#}\n")
    }
}

impl fmt::Display for GateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "gates of `{}`", self.pipeline)?;
        for (phase, place) in self.phases.iter().zip(1..) {
            let GatedPhase {
                name,
                input,
                output,
                after,
                ..
            } = phase;
            let after = if after.is_empty() {
                "at the start".to_owned()
            } else {
                format!("after {}", after.join(", "))
            };
            writeln!(f, "\n{place}. {name}: {}; {after}", phase.gate())?;
            writeln!(f, "   {input} -> {output}")?;
            let modes = phase.modes.join(", ");
            writeln!(f, "   {}; {modes}", phase.kind.words())?;
            for change in phase.changes() {
                writeln!(f, "   {change}")?;
            }
        }
        Ok(())
    }
}

/// A name as code in a cell.
fn code(name: &str) -> String {
    format!("`{}`", cell(name))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
