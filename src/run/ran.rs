use std::fmt;

use crate::printable::Printable;

/// What a live run leaves: every phase of its plan is committed, by this run or before it.
///
/// A plan is performed once. Where [`performed`](Ran::performed) is 0, **this run changed nothing**: all of it was
/// committed before. A change that recurs needs another plan: another input, or another author.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a run of a plan that was performed before changes nothing, and says so here"]
#[non_exhaustive]
pub struct Ran<T> {
    /// What the pipeline returned.
    pub value: T,
    /// How many phases this run committed.
    pub performed: usize,
    /// How many phases of the plan were committed before, by an earlier run or by another one.
    pub before: usize,
    /// When the last of those was committed, as the journal has it; none if there is none.
    pub before_at: Option<String>,
}

impl<T> Ran<T> {
    /// Returns what the pipeline returned, and drops the rest.
    pub fn into_value(self) -> T {
        self.value
    }
}

/// One line for the operator: how many phases were committed, and whether this run changed anything.
impl<T> fmt::Display for Ran<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = self.performed + self.before;
        let at = self.before_at.as_deref();
        let at = at
            .map(|at| format!(", the last at {}", Printable(at)))
            .unwrap_or_default();
        match (self.performed, self.before) {
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
