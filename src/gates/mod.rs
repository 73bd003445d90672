//! The gate table of a pipeline: each phase with its kind, gates, order, types and tables, as text, Markdown, JSON and SVG.
//!
//! A table is a result of a dry run or a rehearsal ([`DryRunReport::gates`](crate::runner::DryRunReport::gates)), and
//! nothing else makes one: it cannot be written by hand, so it cannot differ from the pipeline. Names, gates and order
//! are those that the run presented to its engine, the types are those of the performed phases, and the tables are those
//! of the effects. A phase that the pipeline does not perform with the given input is not in the table, nor is a table that
//! it does not change: give the dry run an input that reaches every phase.
//!
//! The number of rows is not in it, nor anything else that differs from input to input. The plan has these.
//!
//! Commit the table, and let a test compare it:
//!
//! ```no_run
//! # use phasegate::prelude::*;
//! # use serde::{Serialize, Deserialize};
//! # #[derive(Serialize, Deserialize)] struct Cut;
//! # impl PhaseSpec for Cut {
//! #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
//! # }
//! # struct Predicts;
//! # impl Simulate<Cut> for Predicts {
//! #     fn simulate(&mut self, _: &Cut, _: (), effects: &mut Effects) -> Result<u64, Failure> { Ok(1) }
//! # }
//! # fn pipeline<'run, M: Mode, W: Perform<M, Cut>>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>) -> Result<u64, Error> {
//! #     let sg1 = run.approval()?;
//! #     Ok(run.phase(Cut).perform(on, sg1, Start)?.into_output())
//! # }
//! // In a test: fails where the file is stale, and writes it if PHASEGATE_RECORD=1 is set.
//! # fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let dry = DryRunner::new("cutting")
//!     .target(Target::new("1", "town", "runner"))
//!     .simulator(Predicts)
//!     .run(|run, on| pipeline(run, on))?;
//! dry.gates.compare("gates.md")?;
//! dry.gates.compare("gates.svg")?;
//! # Ok(()) }
//! ```

mod drawing;
mod file;
mod layout;
mod text;

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use file::GatesFileError;

use crate::plan::Plan;

/// The gate table of a pipeline, as a dry run or a rehearsal found it.
///
/// `Display` is for people; [`markdown`](GateTable::markdown), [`json`](GateTable::json) and [`svg`](GateTable::svg) are
/// for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateTable {
    pipeline: String,
    phases: Vec<GatedPhase>,
}

/// One phase of a gate table: all phases of one type, which may be performed several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatedPhase {
    name: String,
    kind: PhaseKind,
    modes: &'static [&'static str],
    gates: Vec<String>,
    after: Vec<String>,
    input: String,
    output: String,
    tables: BTreeMap<String, BTreeSet<&'static str>>,
}

/// How a phase is performed live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum PhaseKind {
    /// In exactly one transaction.
    #[serde(rename = "one transaction")]
    Transaction,
}

impl PhaseKind {
    /// Returns the kind in words, as it stands in every form of the table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            PhaseKind::Transaction => "one transaction",
        }
    }

    /// Returns the modes in which a phase of this kind can be performed.
    #[must_use]
    pub fn modes(self) -> &'static [&'static str] {
        match self {
            PhaseKind::Transaction => &["dry run", "rehearsal", "live"],
        }
    }
}

/// The names of the types of a phase, as the run saw them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhaseTypes {
    name: &'static str,
    input: &'static str,
    output: &'static str,
}

impl PhaseTypes {
    /// Returns the types of the phase of this `name`: its spec `S`, and its output `O`.
    pub(crate) fn of<S, O>(name: &'static str) -> Self {
        PhaseTypes {
            name,
            input: type_name::<S>(),
            output: type_name::<O>(),
        }
    }

    /// Adds these types to those of a run, where they are not there yet.
    pub(crate) fn add_to(self, seen: &mut Vec<PhaseTypes>) {
        if !seen.iter().any(|one| one.input == self.input) {
            seen.push(self);
        }
    }

    /// Whether a phase of this full name can be of these types.
    fn fits(&self, full_name: &str) -> bool {
        let instance = full_name.strip_prefix(self.name);
        instance.is_some_and(|rest| rest.is_empty() || rest.starts_with('[') && rest.ends_with(']'))
    }
}

impl GateTable {
    /// Makes the table of the phases that `plan` has, whose types the run has seen.
    pub(crate) fn of(plan: &Plan, seen: &[PhaseTypes]) -> Self {
        let types = |full_name: &str| {
            let fitting = seen.iter().filter(|types| types.fits(full_name));
            fitting.max_by_key(|types| types.name.len())
        };
        // Phases that only their instance tells apart are one row.
        let shown = |full_name: &str| match types(full_name) {
            Some(types) if types.name != full_name => format!("{}[..]", types.name),
            _ => full_name.to_owned(),
        };
        let mut phases: Vec<GatedPhase> = Vec::new();
        for planned in plan.phases() {
            let name = shown(planned.name());
            let at = phases.iter().position(|row| row.name == name);
            let at = at.unwrap_or_else(|| {
                let types = types(planned.name());
                let kind = PhaseKind::Transaction;
                phases.push(GatedPhase {
                    name,
                    kind,
                    modes: kind.modes(),
                    gates: planned.gates().to_vec(),
                    after: Vec::new(),
                    input: types.map_or_else(String::new, |types| short(types.input)),
                    output: types.map_or_else(String::new, |types| short(types.output)),
                    tables: BTreeMap::new(),
                });
                phases.len() - 1
            });
            let row = &mut phases[at];
            for before in planned.after().iter().map(|name| shown(name)) {
                if !row.after.contains(&before) {
                    row.after.push(before);
                }
            }
            for (table, rows) in planned.effects() {
                let changes = row.tables.entry(table.clone()).or_default();
                let kinds = rows.counts().kinds();
                changes.extend(
                    kinds
                        .into_iter()
                        .filter(|(_, n)| *n > 0)
                        .map(|(kind, _)| kind),
                );
            }
        }
        GateTable {
            pipeline: plan.pipeline().to_owned(),
            phases,
        }
    }

    /// Returns the name of the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Returns the phases, in the order in which they were first performed.
    #[must_use]
    pub fn phases(&self) -> &[GatedPhase] {
        &self.phases
    }
}

impl GatedPhase {
    /// Returns the phase's name; `NAME[..]` for phases that their instances tell apart.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how the phase is performed live.
    #[must_use]
    pub fn kind(&self) -> PhaseKind {
        self.kind
    }

    /// Returns the names of its gates, in order; empty if it has none.
    #[must_use]
    pub fn gates(&self) -> &[String] {
        &self.gates
    }

    /// Returns the phases that it comes after; empty if there are none.
    #[must_use]
    pub fn after(&self) -> &[String] {
        &self.after
    }

    /// Returns the name of the type of its input, without the modules.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// Returns the name of the type of its output, without the modules.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Returns the tables that it changes, each with the kinds of change: `inserted`, `updated`, `deleted`.
    pub fn tables(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &'static str>)> {
        let tables = self.tables.iter();
        tables.map(|(table, kinds)| (table.as_str(), kinds.iter().copied()))
    }

    /// Returns the gates in words.
    fn gate(&self) -> String {
        if self.gates.is_empty() {
            "no gate".to_owned()
        } else {
            self.gates.join(" and ")
        }
    }

    /// Returns each table with the kinds of change in words; one line that tells if there is none.
    fn changes(&self) -> Vec<String> {
        if self.tables.is_empty() {
            return vec!["changes no table".to_owned()];
        }
        let changes = self.tables.iter().map(|(table, kinds)| {
            let order = ["inserted", "updated", "deleted"];
            let kinds: Vec<_> = order
                .into_iter()
                .filter(|kind| kinds.contains(kind))
                .collect();
            format!("{table}: {}", kinds.join(", "))
        });
        changes.collect()
    }
}

/// Removes the modules from the name of a type: `alloc::vec::Vec<alloc::string::String>` is `Vec<String>`.
fn short(name: &str) -> String {
    let (mut shown, mut word) = (String::new(), String::new());
    for character in name.chars() {
        match character {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                shown.push_str(&word);
                word.clear();
                shown.push(c);
            }
        }
    }
    shown + &word
}
