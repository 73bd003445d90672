//! A rehearsal: the real work in a real transaction, measured, of which nothing can be committed.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../interlock/hand.rs"]
mod hand;
#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../random/mod.rs"]
mod random;
#[path = "../server/mod.rs"]
mod server;

mod attacks;
mod chance;
mod constraints;
mod effects;
mod ending;
mod failing;
mod refusals;
mod wire;

use phasegate::{
    Error, Failure, PhaseTx, Receipt, Rehearsal, RehearsalRunner, Run, Start, Switch, Ungated,
    connect::{Connector, PostgresConnector},
    runner::{Given, RehearsalReport},
};

use pipeline::Draft;
use server::{Database, PIPELINE, does, drafting};

pub(crate) const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// A rehearsal that lacks nothing.
pub(crate) fn rehearsal<W>(
    database: &Database,
    adapter: W,
) -> RehearsalRunner<Given<PostgresConnector>, Given<W>> {
    rehearsal_through(database.connector(), adapter)
}

pub(crate) fn rehearsal_through<C: Connector, W>(
    connector: C,
    adapter: W,
) -> RehearsalRunner<Given<C>, Given<W>> {
    RehearsalRunner::new(PIPELINE)
        .connector(connector)
        .adapter(adapter)
}

/// Rehearses the one phase `Draft` by what `f` does.
pub(crate) fn draft_by<F>(database: &Database, f: F) -> Result<RehearsalReport<u64>, Error>
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    rehearsal(database, does(f))
        .run(|run, on| drafting(run, on, &Draft::of(&["a"])).map(Receipt::into_output))
}

/// Performs one more phase of the rehearsal, called `draft[..]`.
pub(crate) fn next<'run, F>(
    run: &mut Run<'run, Rehearsal, Each<F>>,
    on: &Switch<'run, Rehearsal>,
    number: usize,
) -> Result<Receipt<'run, Numbered, Rehearsal>, Error>
where
    F: FnMut(usize, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    let phase = Numbered { number };
    run.phase(phase).perform(on, Ungated, Start)
}

/// A phase that there are several of.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Numbered {
    pub(crate) number: usize,
}

impl phasegate::PhaseSpec for Numbered {
    const NAME: &'static str = "part";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;

    fn instance(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

/// A live adapter that does what its closure does, for each number.
pub(crate) struct Each<F>(pub(crate) F);

impl<F> phasegate::Execute<Numbered> for Each<F>
where
    F: FnMut(usize, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    fn execute(&mut self, phase: &Numbered, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        (self.0)(phase.number, tx)
    }
}

/// Asserts that the runner has left nothing: no session, no row, no attempt.
#[track_caller]
pub(crate) fn nothing_remains(database: &Database) {
    hand::nothing_committed(database);
}

/// A connector whose sessions say something first.
pub(crate) struct Sets(pub(crate) postgres::Config, pub(crate) &'static str);

impl Connector for Sets {
    fn connect(
        &mut self,
    ) -> Result<phasegate::connect::Connection, phasegate::connect::ConnectError> {
        let mut client = self.0.connect(postgres::NoTls)?;
        client.batch_execute(self.1)?;
        Ok(client.into())
    }
}
