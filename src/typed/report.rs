//! The results of a run: the pipeline's value, and the facts about the run.

use std::fmt;

use crate::base::printable::Printable;
use crate::engine::{FailedRehearsal, RehearsedPhase};
use crate::gates::GateTable;
use crate::outcome::{Refusal, RefusalReason};
use crate::plan::{Plan, PlanInputs, PlanOutputs};

/// The result of a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRunReport<T> {
    /// The pipeline's value.
    pub value: T,
    /// The plan, which people approve, and which a live run requires.
    pub plan: Plan,
    /// The input of each phase, for people to read and for the live run.
    pub inputs: PlanInputs,
    /// What each phase returned, for a [`Preflight`](crate::runner::Preflight).
    pub outputs: PlanOutputs,
    /// The gate table of the pipeline: each phase that was performed, with its gates, order, types and tables.
    pub gates: GateTable,
}

/// The result of a rehearsal: the pipeline's value, and the measurements. `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RehearsalReport<T> {
    /// The pipeline's value.
    pub value: T,
    /// The phases that were performed, in order.
    pub phases: Vec<RehearsedPhase>,
    /// The phases that failed, after which the pipeline went on. The plan does not have them.
    pub failed: Vec<FailedRehearsal>,
    /// The plan, with the measured effects, which people approve, and which a live run requires. Its target is the
    /// rehearsed database, as the server identifies it. If a dry run of the same pipeline predicts other effects, its
    /// simulator is wrong.
    pub plan: Plan,
    /// The input of each phase of the plan, for people to read and for the live run.
    pub inputs: PlanInputs,
    /// What each phase of the plan returned, for a [`Preflight`](crate::runner::Preflight).
    pub outputs: PlanOutputs,
    /// The gate table of the pipeline: each phase that the plan has, with its gates, order, types and tables.
    pub gates: GateTable,
}

impl<T> RehearsalReport<T> {
    /// Binds the values: returns this report, with a plan whose live run has to write into the columns of tables guarded
    /// [by contents](crate::schema::Guard::Contents) exactly what both rehearsals have written.
    ///
    /// `again` is another rehearsal of the same pipeline with the same input. A column into which the two have written
    /// different values, as by `random()` or a key that is drawn from a sequence, is named in the plan, and its values are
    /// not bound; nor are those of a table for which the phase has a
    /// [tolerance](crate::PhaseSpec::tolerance), and those that triggers write.
    ///
    /// ```no_run
    /// # use phasegate::{*, connect::PostgresConnector};
    /// # use serde::{Serialize, Deserialize};
    /// # #[derive(Serialize, Deserialize)] struct Cut;
    /// # impl PhaseSpec for Cut {
    /// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
    /// # }
    /// # struct Writes;
    /// # impl Execute<Cut> for Writes {
    /// #     fn execute(&mut self, _: &Cut, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(1) }
    /// # }
    /// # fn example(config: postgres::Config) -> Result<(), Error> {
    /// let rehearse = || {
    ///     RehearsalRunner::new("cut")
    ///         .connector(PostgresConnector::no_tls(config.clone()))
    ///         .adapter(Writes)
    ///         .run(|run, on| {
    ///             let sg1 = run.approval()?;
    ///             Ok(run.phase(Cut).perform(on, sg1, Start)?.into_output())
    ///         })
    /// };
    /// let plan = rehearse()?.confirmed_by(&rehearse()?)?.plan;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a refusal with the differences if the two have not the same change: other inputs, statements, rows or
    /// columns.
    pub fn confirmed_by<U>(mut self, again: &RehearsalReport<U>) -> Result<Self, Refusal> {
        if self.plan.change() != again.plan.change() {
            let differences = self.plan.differences(&again.plan).to_string();
            return Err(Refusal::of_run(RefusalReason::RehearsalsDiffer {
                differences,
            }));
        }
        let first = self.phases.iter().map(|phase| &phase.contents);
        let second = again.phases.iter().map(|phase| &phase.contents);
        self.plan = (self.plan.binding(first.zip(second)))
            .map_err(|flaw| Refusal::of_run(RefusalReason::PlanFlawed { flaw }))?;
        self.inputs = self.inputs.of_plan(&self.plan);
        self.outputs = self.outputs.of_plan(&self.plan);
        Ok(self)
    }
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

/// The result of a live run: every phase of its plan is committed, by this run or before it.
///
/// A plan is performed once. If [`performed`](LiveReport::performed) is 0, **this run changed nothing**: all of it was
/// committed before. A recurring change needs another plan: with another input, or another author.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a run of a plan that was performed before changes nothing, and says so here"]
#[non_exhaustive]
pub struct LiveReport<T> {
    /// The pipeline's value.
    pub value: T,
    /// The number of phases that this run committed.
    pub performed: usize,
    /// The number of phases of the plan that were committed before, by an earlier or concurrent run.
    pub committed_before: usize,
    /// When the last of those was committed, by the journal; `None` if there is none.
    pub last_committed_at: Option<String>,
}

impl<T> LiveReport<T> {
    /// Returns the pipeline's value.
    pub fn into_value(self) -> T {
        self.value
    }
}

/// Displays one line for the operator: how many phases were committed, and whether this run changed anything.
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
