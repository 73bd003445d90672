//! The pipeline of the suite: five phases that cut a document into units, and enact them.

use phasegate::{
    Effects, Error, Execute, Failure, Invalid, Mode, Perform, PhaseSpec, PhaseTx, Run, Sg1, Sg2,
    Simulate, Start, Switch, Ungated,
};
use serde::{Deserialize, Serialize};

pub const PIPELINE: &str = "cutter";
pub const NAMES: [&str; 5] = [
    "cut_leg_a",
    "write_verify",
    "cut_leg_b",
    "lifecycle_enact",
    "enact_verify",
];

pub const INSERT: &str = "INSERT INTO unit VALUES ($1, $2, 'draft')";
pub const LINK: &str = "INSERT INTO link VALUES ($1)";
pub const ENACT: &str = "UPDATE unit SET state = 'enacted' WHERE title = $1";
pub const COUNT: &str = "SELECT count(*) FROM unit WHERE state = $1";

/// A unit: its title, and its body.
pub type Unit = (String, String);

#[derive(Serialize, Deserialize)]
pub struct CutLegA(pub Vec<Unit>);
#[derive(Serialize, Deserialize)]
pub struct WriteVerify;
#[derive(Serialize, Deserialize)]
pub struct CutLegB(pub Vec<String>);
#[derive(Serialize, Deserialize)]
pub struct LifecycleEnact(pub Vec<String>);
#[derive(Serialize, Deserialize)]
pub struct EnactVerify;

macro_rules! spec {
    ($spec:ident, $place:literal, $gate:ty, $after:ty, { $($validate:item)? }) => {
        impl PhaseSpec for $spec {
            const NAME: &'static str = NAMES[$place];
            type Gate = $gate;
            type After = $after;
            type Output = u64;
            $($validate)?
        }
    };
}

spec!(CutLegA, 0, Sg1, Start, {
    fn validate(&self) -> Result<(), Invalid> {
        let empty = |unit: &Unit| unit.0.is_empty() || unit.1.is_empty();
        match self.0.iter().position(empty) {
            Some(row) => {
                Err(Invalid::new("it has no title or no body")
                    .at_row(row as u64 + 1, &self.0[row].0))
            }
            None => Ok(()),
        }
    }
});
spec!(WriteVerify, 1, Ungated, CutLegA, {});
spec!(CutLegB, 2, Sg1, WriteVerify, {});
spec!(LifecycleEnact, 3, Sg2, CutLegB, {});
spec!(EnactVerify, 4, Ungated, LifecycleEnact, {});

/// Performs all five phases.
pub trait PerformsAll<M: Mode>:
    Perform<M, CutLegA>
    + Perform<M, WriteVerify>
    + Perform<M, CutLegB>
    + Perform<M, LifecycleEnact>
    + Perform<M, EnactVerify>
{
}

impl<M: Mode, W> PerformsAll<M> for W where
    W: Perform<M, CutLegA>
        + Perform<M, WriteVerify>
        + Perform<M, CutLegB>
        + Perform<M, LifecycleEnact>
        + Perform<M, EnactVerify>
{
}

pub fn pipeline<'run, M: Mode, W: PerformsAll<M>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    units: &[Unit],
) -> Result<u64, Error> {
    let titles: Vec<_> = units.iter().map(|unit| unit.0.clone()).collect();
    let sg1 = run.approval()?;
    let cut = run.phase(CutLegA(units.to_vec())).perform(on, sg1, Start)?;
    let written = run.phase(WriteVerify).perform(on, Ungated, &cut)?;
    let sg1 = run.approval()?;
    let linked = run
        .phase(CutLegB(titles.clone()))
        .perform(on, sg1, &written)?;
    let sg2 = run.approval()?;
    let enacted = run
        .phase(LifecycleEnact(titles))
        .perform(on, sg2, &linked)?;
    let surveyed = run.phase(EnactVerify).perform(on, Ungated, &enacted)?;
    Ok(surveyed.into_output())
}

#[derive(Clone, Copy)]
pub struct Simulator;

impl Simulate<CutLegA> for Simulator {
    fn simulate(&mut self, cut: &CutLegA, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert("public.unit", cut.0.len() as u64);
        Ok(cut.0.len() as u64)
    }
}

impl Simulate<WriteVerify> for Simulator {
    fn simulate(&mut self, _: &WriteVerify, cut: &u64, _: &mut Effects) -> Result<u64, Failure> {
        Ok(*cut)
    }
}

impl Simulate<CutLegB> for Simulator {
    fn simulate(&mut self, cut: &CutLegB, _: &u64, effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert("public.link", cut.0.len() as u64);
        Ok(cut.0.len() as u64)
    }
}

impl Simulate<LifecycleEnact> for Simulator {
    fn simulate(
        &mut self,
        enact: &LifecycleEnact,
        _: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects.update("public.unit", enact.0.len() as u64);
        Ok(enact.0.len() as u64)
    }
}

impl Simulate<EnactVerify> for Simulator {
    fn simulate(
        &mut self,
        _: &EnactVerify,
        enacted: &u64,
        _: &mut Effects,
    ) -> Result<u64, Failure> {
        Ok(*enacted)
    }
}

#[derive(Clone, Copy)]
pub struct Adapter;

/// Performs the statement for each title, and returns how many rows that changed.
fn each(tx: &mut PhaseTx<'_>, sql: &str, titles: &[String]) -> Result<u64, Failure> {
    let statement = tx.prepare(sql)?;
    let changed = tx.for_each_row(
        titles,
        |title| *title,
        |tx, title| Ok(tx.execute(&statement, &[title])?),
    )?;
    Ok(changed.iter().sum())
}

/// Returns how many units are in this state, and fails unless they are as many as before.
fn counted(tx: &mut PhaseTx<'_>, state: &str, before: u64) -> Result<u64, Failure> {
    let found: i64 = tx.query_one(COUNT, &[&state])?.try_get(0)?;
    match found.unsigned_abs() {
        found if found == before => Ok(found),
        found => Err(Failure::new(format!(
            "{found} of {before} units are {state}"
        ))),
    }
}

impl Execute<CutLegA> for Adapter {
    fn execute(&mut self, cut: &CutLegA, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let insert = tx.prepare(INSERT)?;
        let done = tx.for_each_row(
            &cut.0,
            |unit| unit.0.clone(),
            |tx, unit| Ok(tx.execute(&insert, &[&unit.0, &unit.1])?),
        )?;
        Ok(done.iter().sum())
    }
}

impl Execute<WriteVerify> for Adapter {
    fn execute(
        &mut self,
        _: &WriteVerify,
        cut: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        counted(tx, "draft", *cut)
    }
}

impl Execute<CutLegB> for Adapter {
    fn execute(&mut self, cut: &CutLegB, _: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        each(tx, LINK, &cut.0)
    }
}

impl Execute<LifecycleEnact> for Adapter {
    fn execute(
        &mut self,
        enact: &LifecycleEnact,
        _: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        each(tx, ENACT, &enact.0)
    }
}

impl Execute<EnactVerify> for Adapter {
    fn execute(
        &mut self,
        _: &EnactVerify,
        enacted: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        counted(tx, "enacted", *enacted)
    }
}
