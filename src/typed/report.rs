//! What a run leaves: what the pipeline returned, and what is known of it.

use std::fmt;

use crate::base::printable::Printable;
use crate::engine::{FailedRehearsal, RehearsedPhase};
use crate::plan::Plan;

/// What a dry run leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRunReport<T> {
    /// What the pipeline returned.
    pub value: T,
    /// The plan: what people approve, and what a live run demands.
    pub plan: Plan,
}

/// What a rehearsal leaves: what the pipeline returned, and what was measured. Its `Display` is for
/// people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RehearsalReport<T> {
    /// What the pipeline returned.
    pub value: T,
    /// The phases that were performed, in order.
    pub phases: Vec<RehearsedPhase>,
    /// The phases that failed, and that the pipeline went on without. The plan does not have them.
    pub failed: Vec<FailedRehearsal>,
    /// The plan, with the effects that were measured: what people approve, and what a live run
    /// demands. It is for the database that it was rehearsed in, as the server itself says. Where a
    /// dry run of the same pipeline foretold other effects, its simulator is wrong.
    pub plan: Plan,
}

impl<T> fmt::Display for RehearsalReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pipeline, target) = (self.plan.pipeline(), self.plan.target());
        writeln!(f, "rehearsal of `{pipeline}` in {target}")?;
        for phase in &self.phases {
            writeln!(f, "{phase}")?;
        }
        for phase in &self.failed {
            writeln!(f, "{phase}")?;
        }
        write!(
            f,
            "Everything was rolled back. What a rollback does not undo: sequences that were moved; that others had to wait for \
             the locks, those on single rows included; and whatever left the database (another connection, a file, a mail)."
        )
    }
}

/// What a live run leaves: every phase of its plan is committed, by this run or before it.
///
/// A plan is performed once. Where [`performed`](LiveReport::performed) is 0, **this run changed nothing**: all of it was
/// committed before. A change that recurs needs another plan: another input, or another author.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a run of a plan that was performed before changes nothing, and says so here"]
#[non_exhaustive]
pub struct LiveReport<T> {
    /// What the pipeline returned.
    pub value: T,
    /// How many phases this run committed.
    pub performed: usize,
    /// How many phases of the plan were committed before, by an earlier run or by another one.
    pub committed_before: usize,
    /// When the last of those was committed, as the journal has it; `None` if there is none.
    pub last_committed_at: Option<String>,
}

impl<T> LiveReport<T> {
    /// Returns what the pipeline returned, and drops the rest.
    pub fn into_value(self) -> T {
        self.value
    }
}

/// One line for the operator: how many phases were committed, and whether this run changed anything.
impl<T> fmt::Display for LiveReport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = self.performed + self.committed_before;
        let at = self.last_committed_at.as_deref();
        let at = at
            .map(|at| format!(", the last at {}", Printable(at)))
            .unwrap_or_default();
        match (self.performed, self.committed_before) {
            (0, before) => write!(
                f,
                "nothing was performed: all {before} phases of the plan were committed before{at}. \
                 To do the same again, make another plan"
            ),
            (performed, 0) => write!(f, "performed {performed} of {phases} phases"),
            (performed, before) => write!(
                f,
                "performed {performed} of {phases} phases; {before} were committed before{at}"
            ),
        }
    }
}
