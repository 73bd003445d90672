//! Three phases, the pipeline that performs them, its adapter and its simulator.

use phasegate::prelude::*;
use serde::{Deserialize, Serialize};

/// Freezes the accounts of a year.
#[derive(Debug, Serialize, Deserialize)]
pub struct Freeze {
    /// The year to close.
    pub year: u16,
}

/// Posts the closing entries.
#[derive(Debug, Serialize, Deserialize)]
pub struct Post {
    /// One entry for each account.
    pub entries: Vec<String>,
}

/// Moves the year into the archive.
#[derive(Debug, Serialize, Deserialize)]
pub struct Archive;

/// What posting leaves: the number of entries, and their sum.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sum {
    /// The number of entries.
    pub entries: u64,
    /// The sum, in cents.
    pub cents: i64,
}

impl PhaseSpec for Freeze {
    const NAME: &'static str = "freeze";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

impl PhaseSpec for Post {
    const NAME: &'static str = "post";
    type Gate = Sg1;
    type After = Freeze;
    type Output = Sum;
}

impl PhaseSpec for Archive {
    const NAME: &'static str = "archive";
    type Gate = And<Sg1, Sg2>;
    type After = (Freeze, Post);
    type Output = ();
}

/// The pipeline, written once, run dry and live.
///
/// # Errors
///
/// Returns the error of the first phase that was refused, rolled back or left in doubt.
pub fn close<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    year: u16,
    entries: &[String],
) -> Result<Sum, Error>
where
    W: Perform<M, Freeze> + Perform<M, Post> + Perform<M, Archive>,
{
    let frozen = run.phase(Freeze { year }).perform(on, Ungated, Start)?;
    let sg1 = run.approval::<Sg1>()?;
    let entries = entries.to_vec();
    let posted = run.phase(Post { entries }).perform(on, sg1, &frozen)?;
    let both = run.approval::<And<Sg1, Sg2>>()?;
    run.phase(Archive).perform(on, both, (&frozen, &posted))?;
    Ok(posted.into_output())
}

/// The live adapter.
#[derive(Debug, Clone, Copy)]
pub struct Books;

impl Execute<Freeze> for Books {
    fn execute(&mut self, freeze: &Freeze, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let year = i32::from(freeze.year);
        Ok(tx.execute(
            "UPDATE ledger.account SET frozen = true WHERE year = $1",
            &[&year],
        )?)
    }
}

impl Execute<Post> for Books {
    fn execute(&mut self, post: &Post, _: &u64, tx: &mut PhaseTx<'_>) -> Result<Sum, Failure> {
        let insert = tx.prepare("INSERT INTO ledger.entry (account) VALUES ($1)")?;
        let posted = tx.for_each_row(
            &post.entries,
            |entry| *entry,
            |tx, entry| Ok(tx.execute(&insert, &[entry])?),
        )?;
        let entries = posted.len() as u64;
        Ok(Sum { entries, cents: 0 })
    }
}

impl Execute<Archive> for Books {
    fn execute(
        &mut self,
        _: &Archive,
        (_, _): (&u64, &Sum),
        tx: &mut PhaseTx<'_>,
    ) -> Result<(), Failure> {
        tx.execute("UPDATE ledger.account SET archived = true", &[])?;
        Ok(())
    }
}

/// The simulator.
#[derive(Debug, Clone, Copy)]
pub struct Predict {
    /// The number of accounts of the year.
    pub accounts: u64,
}

impl Simulate<Freeze> for Predict {
    fn simulate(&mut self, _: &Freeze, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.update("ledger.account", self.accounts);
        Ok(self.accounts)
    }
}

impl Simulate<Post> for Predict {
    fn simulate(&mut self, post: &Post, _: &u64, effects: &mut Effects) -> Result<Sum, Failure> {
        let entries = post.entries.len() as u64;
        effects.insert("ledger.entry", entries);
        Ok(Sum { entries, cents: 0 })
    }
}

impl Simulate<Archive> for Predict {
    fn simulate(
        &mut self,
        _: &Archive,
        (frozen, _): (&u64, &Sum),
        effects: &mut Effects,
    ) -> Result<(), Failure> {
        effects.update("ledger.account", *frozen);
        Ok(())
    }
}
