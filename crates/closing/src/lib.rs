//! Closes accounts of a bank: the pipeline of the README, as a complete program.

use phasegate::prelude::*;
use serde::{Deserialize, Serialize};

/// The input of the phase, which is also what `closing plan` takes: people approve its digest.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub struct CloseAccounts {
    /// The numbers of the accounts to close
    #[arg(required = true)]
    numbers: Vec<String>,
}

impl PhaseSpec for CloseAccounts {
    const NAME: &'static str = "close_accounts";
    type Gate = Sg1; // live, it needs an approval of SG_1
    type After = Start; // no phase comes before it
    type Output = u64; // how many were closed

    fn summary(&self) -> String {
        format!("closes {} accounts", self.numbers.len())
    }
}

/// Counts the accounts that were closed, behind the same gate.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {}

impl PhaseSpec for Report {
    const NAME: &'static str = "report";
    type Gate = Sg1;
    type After = CloseAccounts;
    type Output = u64;
}

/// Performs the phases in a dry run: predicts the rows of each table.
#[derive(Debug)]
pub struct Predict;

impl Simulate<CloseAccounts> for Predict {
    fn simulate(
        &mut self,
        spec: &CloseAccounts,
        (): (),
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        let accounts = spec.numbers.len() as u64;
        effects.update("bank.account", accounts);
        Ok(accounts)
    }
}

impl Simulate<Report> for Predict {
    fn simulate(
        &mut self,
        _: &Report,
        closed: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects.insert("bank.report", 1);
        Ok(*closed)
    }
}

/// Performs the phases live, each in a transaction that it cannot commit or roll back.
#[derive(Debug)]
pub struct Bank;

impl Execute<CloseAccounts> for Bank {
    fn execute(
        &mut self,
        spec: &CloseAccounts,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let close = tx.prepare("SELECT close_account($1)")?;
        // The second argument names a row in errors. The first row that fails ends the phase.
        let closed = tx.for_each_row(
            &spec.numbers,
            |number| *number,
            |tx, number| Ok(tx.execute(&close, &[number])?),
        )?;
        Ok(closed.len() as u64)
    }
}

impl Execute<Report> for Bank {
    fn execute(&mut self, _: &Report, closed: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let closed = i64::try_from(*closed).map_err(Failure::new)?;
        tx.execute("INSERT INTO bank.report (closed) VALUES ($1)", &[&closed])?;
        Ok(closed.unsigned_abs())
    }
}

/// The pipeline is a function, written once for dry runs, rehearsals and live runs.
///
/// # Errors
///
/// Returns the error of the phase that was not performed.
pub fn pipeline<'run, M, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    given: &CloseAccounts,
) -> Result<u64, Error>
where
    M: Mode,
    W: Perform<M, CloseAccounts> + Perform<M, Report>,
{
    let sg1 = run.approval::<Sg1>()?;
    let closed = run.phase(given.clone()).perform(on, sg1, Start)?;
    let sg1 = run.approval::<Sg1>()?;
    Ok(run
        .phase(Report {})
        .perform(on, sg1, &closed)?
        .into_output())
}
