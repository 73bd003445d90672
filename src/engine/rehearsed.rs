//! The measurements of a rehearsal for each phase, also in a form for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::rehearsed_contents::TimesWritten;
use crate::base::printable::Printable;
use crate::database::Measured;
use crate::plan::{Effects, PlannedContents};

/// The effects of one phase of a rehearsal, measured by the server and rolled back since.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RehearsedPhase {
    /// The name of the phase.
    pub name: String,
    /// The rows that the phase inserted, updated and deleted, for each table that it changed; triggers, functions and
    /// deferred triggers included. The journal of a live run would have the same.
    pub effects: Effects,
    /// Those of these tables that are not guarded with all their partitions. Their counts are of the rows that the
    /// phase tried to write, including those that a savepoint rolled back; and a plan that names such a table is not
    /// admitted: [`protect`](crate::schema::protect) the table.
    pub unguarded: Vec<String>,
    /// The sequences that the phase advanced, and that stay advanced: by `nextval` or `setval`, or by an inserted row
    /// with a sequence as default. A sequence that an earlier phase of the run advanced is listed with that phase.
    pub sequences: Vec<String>,
    /// The strongest lock that the phase took on each table, by the server's name for it. A lock that an earlier phase
    /// of the run holds already is listed with that phase. Locks on single rows are not shown.
    pub locks: BTreeMap<String, String>,
    /// How long the phase took, from its first statement to the measurement: so long a live run holds its locks, and
    /// commits after that. The rehearsal holds them to its own end.
    pub took: Duration,
    /// The columns that the phase changed, of the tables that are guarded [by contents](crate::schema::Guard::Contents).
    pub contents: BTreeMap<String, PlannedContents>,
}

/// A phase that failed in a rehearsal. Its rows are rolled back; its sequences stay advanced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedRehearsal {
    /// The name of the phase.
    pub name: String,
    /// The failure, with the row at which it occurred.
    pub why: String,
    /// The sequences that the phase advanced.
    pub sequences: Vec<String>,
}

impl RehearsedPhase {
    /// Returns the difference between two measurements.
    pub(super) fn between(
        name: &str,
        before: &Measured,
        after: &Measured,
        took: Duration,
        times: &mut TimesWritten,
    ) -> Self {
        let mut effects = Effects::new();
        let mut unguarded = Vec::new();
        for (table, seen) in &after.effects {
            let before = before.tried.get(table).filter(|_| !seen.exactly);
            let before = before.copied().unwrap_or_default();
            effects
                .insert(table, seen.inserted.saturating_sub(before.inserted))
                .update(table, seen.updated.saturating_sub(before.updated))
                .delete(table, seen.deleted.saturating_sub(before.deleted));
            if !seen.exactly && !effects.of(table).is_none() {
                unguarded.push(table.clone());
            }
        }
        let taken = after.locks.iter();
        let taken = taken.filter(|(table, mode)| before.locks.get(*table) != Some(mode));
        RehearsedPhase {
            name: name.to_owned(),
            effects,
            unguarded,
            sequences: moved(before, after),
            locks: taken
                .map(|(table, mode)| (table.clone(), mode.clone()))
                .collect(),
            took,
            contents: times.contents(after),
        }
    }
}

pub(super) fn moved(before: &Measured, after: &Measured) -> Vec<String> {
    let moved = after.sequences.difference(&before.sequences);
    moved.cloned().collect()
}

impl fmt::Display for RehearsedPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_millis();
        write!(f, "  {} ({took} ms)", Printable(&self.name))?;
        if self.effects.is_empty() {
            write!(f, "\n    changed no row")?;
        }
        for (table, rows) in self.effects.tables() {
            write!(f, "\n    {}: {rows}", Printable(table))?;
            if self.unguarded.iter().any(|unguarded| unguarded == table) {
                write!(
                    f,
                    " (not under guard, so that the plan is not admitted yet)"
                )?;
            }
        }
        for (table, mode) in &self.locks {
            write!(f, "\n    locked {} ({mode})", Printable(table))?;
        }
        moved_sequences(f, &self.sequences)
    }
}

fn moved_sequences(f: &mut fmt::Formatter<'_>, sequences: &[String]) -> fmt::Result {
    for sequence in sequences {
        write!(
            f,
            "\n    moved the sequence {}, which stays moved",
            Printable(sequence)
        )?;
    }
    Ok(())
}

impl fmt::Display for FailedRehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {}\n    FAILED: {}",
            Printable(&self.name),
            Printable(&self.why)
        )?;
        moved_sequences(f, &self.sequences)
    }
}
