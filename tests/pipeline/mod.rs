//! A small pipeline that the tests share: `Draft`, `Check`, `Enact`, `Publish`.
#![allow(dead_code, unreachable_pub)]

use phasegate::{
    And, Effects, Error, Execute, Failure, Invalid, Mode, Perform, PhaseSpec, PhaseTx, Run, Sg1,
    Sg2, Simulate, Start, Switch, Ungated,
};
use serde::{Deserialize, Serialize};

/// More rows than any test changes.
const ANY: u64 = 1_000_000;

/// The table of the pipeline.
pub const TABLE: &str = "public.item";

/// The first phase: behind `SG_1`, it writes rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Draft {
    pub rows: Vec<String>,
    /// Tables that it changes beside that of the pipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

/// The second: behind no gate, it reads the rows back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check;

/// The third: behind `SG_2`, it enacts them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enact;

/// The last: behind both gates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish;

impl PhaseSpec for Draft {
    const NAME: &'static str = "draft";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;

    fn validate(&self) -> Result<(), Invalid> {
        match self.rows.iter().position(String::is_empty) {
            Some(row) => Err(Invalid::new("the row is empty").at_row(row as u64 + 1, "")),
            None => Ok(()),
        }
    }

    /// Adapters of the tests change its table in ways that the simulator does not predict.
    fn tolerance(&self, _: &str) -> u64 {
        ANY
    }
}

impl PhaseSpec for Check {
    const NAME: &'static str = "check";
    type Gate = Ungated;
    type After = Draft;
    type Output = u64;
}

impl PhaseSpec for Enact {
    const NAME: &'static str = "enact";
    type Gate = Sg2;
    type After = Check;
    type Output = u64;
}

impl PhaseSpec for Publish {
    const NAME: &'static str = "publish";
    type Gate = And<Sg1, Sg2>;
    type After = (Draft, Enact);
    type Output = ();
}

impl Draft {
    pub fn of(rows: &[&str]) -> Self {
        let rows = rows.iter().map(|&row| row.to_owned()).collect();
        Draft::of_rows(rows)
    }

    pub fn of_rows(rows: Vec<String>) -> Self {
        let also = Vec::new();
        Draft { rows, also }
    }

    /// It changes this table too.
    pub fn and(mut self, table: &str) -> Self {
        self.also.push(table.to_owned());
        self
    }
}

/// The pipeline, written once.
pub fn pipeline<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    draft: Draft,
) -> Result<u64, Error>
where
    W: Perform<M, Draft> + Perform<M, Check> + Perform<M, Enact> + Perform<M, Publish>,
{
    let sg1 = run.approval()?;
    let drafted = run.phase(draft).perform(on, sg1, Start)?;
    let checked = run.phase(Check).perform(on, Ungated, &drafted)?;
    let sg2 = run.approval()?;
    let enacted = run.phase(Enact).perform(on, sg2, &checked)?;
    let both = run.approval::<And<Sg1, Sg2>>()?;
    run.phase(Publish).perform(on, both, (&drafted, &enacted))?;
    Ok(enacted.into_output())
}

/// Simulates every phase of the pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Simulator;

impl Simulate<Draft> for Simulator {
    fn simulate(&mut self, draft: &Draft, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        let rows = draft.rows.len() as u64;
        effects.insert(TABLE, rows.max(1));
        effects.update(TABLE, 1).delete(TABLE, 1);
        for table in &draft.also {
            effects.insert(table, 1).update(table, 1).delete(table, 1);
        }
        Ok(rows)
    }
}

impl Simulate<Check> for Simulator {
    fn simulate(&mut self, _: &Check, drafted: &u64, _: &mut Effects) -> Result<u64, Failure> {
        Ok(*drafted)
    }
}

impl Simulate<Enact> for Simulator {
    fn simulate(
        &mut self,
        _: &Enact,
        checked: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects.update(TABLE, *checked);
        Ok(*checked)
    }
}

impl Simulate<Publish> for Simulator {
    fn simulate(
        &mut self,
        _: &Publish,
        (_, enacted): (&u64, &u64),
        effects: &mut Effects,
    ) -> Result<(), Failure> {
        effects.update(TABLE, *enacted);
        Ok(())
    }
}

/// Performs every phase of the pipeline live, on `item (name text primary key, state text)`.
#[derive(Debug, Clone, Copy)]
pub struct Adapter;

impl Execute<Draft> for Adapter {
    fn execute(&mut self, draft: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let insert = tx.prepare("INSERT INTO item VALUES ($1, 'draft')")?;
        let done = tx.for_each_row(
            &draft.rows,
            |row| *row,
            |tx, row| Ok(tx.execute(&insert, &[row])?),
        )?;
        Ok(done.len() as u64)
    }
}

impl Execute<Check> for Adapter {
    fn execute(&mut self, _: &Check, drafted: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let found: i64 = tx.query_one("SELECT count(*) FROM item", &[])?.try_get(0)?;
        if found.unsigned_abs() < *drafted {
            return Err(Failure::new(format!(
                "{drafted} were drafted, {found} are there"
            )));
        }
        Ok(found.unsigned_abs())
    }
}

impl Execute<Enact> for Adapter {
    fn execute(&mut self, _: &Enact, _: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(tx.execute(
            "UPDATE item SET state = 'enacted' WHERE state = 'draft'",
            &[],
        )?)
    }
}

impl Execute<Publish> for Adapter {
    fn execute(
        &mut self,
        _: &Publish,
        _: (&u64, &u64),
        tx: &mut PhaseTx<'_>,
    ) -> Result<(), Failure> {
        tx.execute(
            "UPDATE item SET state = 'published' WHERE state = 'enacted'",
            &[],
        )?;
        Ok(())
    }
}
