use crate::plan::PlannedPhase;
use crate::{DryRun, DryRunner, Effects, Error, Plan, Run, Switch, Target};

/// What a pipeline does, as values to assert on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryPipeline<V> {
    /// The pipeline's own value.
    pub value: V,
    /// The phases, in the order in which they were performed.
    pub phases: Vec<DryPhase>,
    /// The plan, for a target that no server is.
    pub plan: Plan,
}

/// One phase of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryPhase {
    /// The name of the phase.
    pub name: String,
    /// The gates that it is behind; empty if there are none.
    pub gates: Vec<String>,
    /// The phases whose receipts it takes; empty if there are none.
    pub after: Vec<String>,
    /// The summary, for people.
    pub summary: String,
    /// The effects that the simulator predicts.
    pub effects: Effects,
}

/// Performs a pipeline dry, without a server, a switch or an approval, and returns what it does.
///
/// Each phase's output is the simulator's: your own, or [`Canned`](super::Canned) results.
///
/// ```
/// use phasegate::{testing::{self, Canned}, *};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Close;
/// # impl PhaseSpec for Close {
/// #     const NAME: &'static str = "close"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// # fn pipeline<'run, M: Mode, W: Perform<M, Close>>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>) -> Result<u64, Error> {
/// #     let sg1 = run.approval::<Sg1>()?;
/// #     Ok(run.phase(Close).perform(on, sg1, Start)?.into_output())
/// # }
/// let dry = testing::dry(Canned::new().returns::<Close>(&2), pipeline)?;
/// assert_eq!(dry.names(), ["close"]);
/// assert_eq!(dry.phase("close").gates, ["SG_1"]);
/// assert!(dry.phase("close").effects.is_empty());
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
///
/// Returns the pipeline's own error, or a refusal if it performed no phase.
pub fn dry<W, V, F>(simulator: W, pipeline: F) -> Result<DryPipeline<V>, Error>
where
    F: for<'run> FnOnce(&mut Run<'run, DryRun, W>, &Switch<'run, DryRun>) -> Result<V, Error>,
{
    let report = DryRunner::new("dry")
        .target(Target::new("0", "nowhere", "nobody"))
        .simulator(simulator)
        .run(pipeline)?;
    Ok(DryPipeline {
        value: report.value,
        phases: report.plan.phases().iter().map(DryPhase::of).collect(),
        plan: report.plan,
    })
}

impl DryPhase {
    fn of(planned: &PlannedPhase) -> Self {
        let mut effects = Effects::new();
        for (table, rows) in planned.effects() {
            let rows = rows.counts();
            effects
                .insert(table, rows.inserted)
                .update(table, rows.updated)
                .delete(table, rows.deleted);
        }
        DryPhase {
            name: planned.name().to_owned(),
            gates: planned.gates().to_vec(),
            after: planned.after().to_vec(),
            summary: planned.summary().to_owned(),
            effects,
        }
    }
}

impl<V> DryPipeline<V> {
    /// Returns the names of the phases, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.phases.iter().map(|phase| &*phase.name).collect()
    }

    /// Returns the phase of this name.
    ///
    /// # Panics
    ///
    /// Panics if the pipeline has no such phase, with the names of those that it has.
    #[must_use]
    #[track_caller]
    pub fn phase(&self, name: &str) -> &DryPhase {
        let found = self.phases.iter().find(|phase| phase.name == name);
        found.unwrap_or_else(|| panic!("no phase `{name}`, but {:?}", self.names()))
    }
}
