//! A run of ten thousand phases: how long its first and its last tenth take, and how long it takes to resume it.
//! `cargo bench --bench many_phases`.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use phasegate::audit::Journal;
use phasegate::testing::{ApprovesEverything, ScriptedSwitch, TestPostgres};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Plan, Run, Simulate, Start, Switch, Target, Ungated, connect::PostgresConnector,
    runner::ReadyRunner, schema::protect,
};
use postgres::types::Type;
use postgres::{Config, NoTls};
use serde::{Deserialize, Serialize};

const PHASES: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct Note(usize);

impl PhaseSpec for Note {
    const NAME: &'static str = "note";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

struct Notes;

impl Simulate<Note> for Notes {
    fn simulate(&mut self, _: &Note, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert("public.note", 1);
        Ok(1)
    }
}

impl Execute<Note> for Notes {
    fn execute(&mut self, _: &Note, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(tx.execute(&("INSERT INTO note VALUES ($1)", [Type::INT8]), &[&1_i64])?)
    }
}

/// Performs the phases, and returns how long each tenth of them took.
fn notes<'run, M: Mode, W: Perform<M, Note>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<Vec<Duration>, Error> {
    let mut tenths = Vec::new();
    for tenth in 0..10 {
        let begun = Instant::now();
        for n in 0..PHASES / 10 {
            let note = run.phase(Note(tenth * PHASES / 10 + n));
            note.perform(on, Ungated, Start)?;
        }
        tenths.push(begun.elapsed());
    }
    Ok(tenths)
}

fn live(
    plan: &Plan,
    config: Config,
) -> ReadyRunner<ScriptedSwitch, ApprovesEverything, PostgresConnector, Notes> {
    LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(config))
        .adapter(Notes)
}

fn main() -> Result<(), Box<dyn StdError>> {
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE note (n bigint); GRANT INSERT ON note TO {}",
        runner.name()
    ))?;
    protect(&mut admin, "note")?;
    let target = Target::identify(&mut runner.config().connect(NoTls)?)?;

    println!("| {PHASES} phases | |");
    println!("|---|---|");
    let begun = Instant::now();
    let dry = DryRunner::new("bench")
        .target(target)
        .simulator(Notes)
        .run(notes)?;
    println!("| dry run | {} ms |", begun.elapsed().as_millis());
    let begun = Instant::now();
    ApprovesEverything::admit(&mut operator, &dry.plan)?;
    println!("| admitted | {} ms |", begun.elapsed().as_millis());
    let mut size = || -> Result<i64, postgres::Error> {
        let sizes = "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c \
                     WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind IN ('r', 'S')";
        admin.batch_execute("VACUUM")?;
        Ok(admin.query_one(sizes, &[])?.get(0))
    };
    let before = size()?;
    let tenths = live(&dry.plan, runner.config()).run(notes)?.value;
    println!("| live, first tenth | {} ms |", tenths[0].as_millis());
    println!("| live, last tenth | {} ms |", tenths[9].as_millis());
    let grown = size()? - before;
    println!(
        "| bytes of the schema's tables and indexes for each phase | {} |",
        grown / i64::try_from(PHASES)?
    );
    let begun = Instant::now();
    let journal = Journal::read(&mut admin, dry.plan.digest())?;
    let read = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(journal.verify()?.len(), PHASES);
    println!("| journal read | {} ms |", read.as_millis());
    println!("| journal verified | {} ms |", begun.elapsed().as_millis());
    let begun = Instant::now();
    let resumed = live(&dry.plan, runner.config()).run(notes)?;
    assert_eq!(resumed.committed_before, PHASES);
    println!(
        "| resumed, all committed before | {} ms |",
        begun.elapsed().as_millis()
    );
    Ok(())
}
