//! What is performed in each cell: a plan of one phase or of two, each of which inserts three rows
//! that no other cell has.

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Plan, Receipt, Run, Simulate, Start, Switch, Target, Ungated, approval::Authority,
    audit::Committed, connect::Connector, runner::ReadyRunner, switch::KillSwitch,
};
use serde::{Deserialize, Serialize};

use crate::pipeline::{Adapter, Draft, Simulator, TABLE};
use crate::server::{Database, PIPELINE};

/// How many rows a phase inserts.
pub(crate) const ROWS: i64 = 3;

/// The second phase, where there is one: as the first, and behind no gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) rows: Vec<String>,
}

impl PhaseSpec for Again {
    const NAME: &'static str = "again";
    type Gate = Ungated;
    type After = Draft;
    type Output = u64;
}

impl Simulate<Again> for Simulator {
    fn simulate(&mut self, again: &Again, _: &u64, effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert(TABLE, again.rows.len() as u64);
        Ok(again.rows.len() as u64)
    }
}

impl Execute<Again> for Adapter {
    fn execute(&mut self, again: &Again, _: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let rows = again.rows.clone();
        self.execute(&Draft::of_rows(rows), (), tx)
    }
}

/// A plan, and what it is the plan of.
pub(crate) struct Case {
    pub(crate) draft: Draft,
    pub(crate) again: Option<Again>,
    pub(crate) plan: Plan,
}

/// The receipts of a case.
type Receipts<'run, M> = (Receipt<'run, Draft, M>, Option<Receipt<'run, Again, M>>);

fn write<'run, M: Mode, W: Perform<M, Draft> + Perform<M, Again>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    draft: &Draft,
    again: Option<&Again>,
) -> Result<Receipts<'run, M>, Error> {
    let sg1 = run.approval()?;
    let drafted = run.phase(draft.clone()).perform(on, sg1, Start)?;
    let again = match again {
        Some(again) => Some(run.phase(again.clone()).perform(on, Ungated, &drafted)?),
        None => None,
    };
    Ok((drafted, again))
}

/// A live runner that lacks nothing.
pub(crate) type Live<C, W> = ReadyRunner<ScriptedSwitch, ApprovesEverything, C, W>;

impl Case {
    /// One phase; `name` is that of the cell.
    pub(crate) fn one(target: &Target, name: &str) -> Self {
        Case::of(target, Draft::of_rows(rows(name)), None)
    }

    /// Two phases.
    pub(crate) fn two(target: &Target, name: &str) -> Self {
        let again = Again {
            rows: rows(&format!("{name} again")),
        };
        Case::of(target, Draft::of_rows(rows(name)), Some(again))
    }

    fn of(target: &Target, draft: Draft, again: Option<Again>) -> Self {
        let dry = DryRunner::new(PIPELINE)
            .target(target.clone())
            .simulator(Simulator)
            .run(|run, on| write(run, on, &draft, again.as_ref()).map(drop));
        let plan = dry.expect("a dry run").plan;
        Case { draft, again, plan }
    }

    /// One phase, admitted.
    pub(crate) fn admitted(database: &Database, name: &str) -> Self {
        let case = Case::one(&database.target, name);
        database.admit(&case.plan);
        case
    }

    /// The rows of each phase, in the plan's order.
    pub(crate) fn phases(&self) -> Vec<&[String]> {
        let again = self.again.iter().map(|again| again.rows.as_slice());
        std::iter::once(self.draft.rows.as_slice())
            .chain(again)
            .collect()
    }

    /// A live runner of the case by the pipeline's own adapter.
    pub(crate) fn live<C: Connector>(&self, connector: C) -> Live<C, Adapter> {
        self.live_by(connector, Adapter)
    }

    pub(crate) fn live_by<C: Connector, W>(&self, connector: C, adapter: W) -> Live<C, W> {
        LiveRunner::new(PIPELINE)
            .plan(self.plan.clone())
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(connector)
            .adapter(adapter)
    }

    /// Performs the case, and returns what was committed, phase by phase.
    pub(crate) fn perform<C, W>(&self, runner: Live<C, W>) -> Answer
    where
        C: Connector,
        W: Execute<Draft> + Execute<Again>,
    {
        self.perform_with(runner)
    }

    /// As `perform`, with another switch and another authority.
    pub(crate) fn perform_with<K, A, C, W>(&self, runner: ReadyRunner<K, A, C, W>) -> Answer
    where
        K: KillSwitch,
        A: Authority,
        C: Connector,
        W: Execute<Draft> + Execute<Again>,
    {
        let ran = runner.run(|run, on| {
            let (draft, again) = write(run, on, &self.draft, self.again.as_ref())?;
            let again = again.iter().map(|again| again.committed().clone());
            Ok(std::iter::once(draft.committed().clone())
                .chain(again)
                .collect())
        });
        ran.map(phasegate::runner::LiveReport::into_value)
    }
}

/// How a run of a case ended.
pub(crate) type Answer = Result<Vec<Committed>, Error>;

fn rows(name: &str) -> Vec<String> {
    (1..=ROWS).map(|row| format!("{name}, {row}")).collect()
}
