//! A database of a thousand tables, and of a table with five thousand partitions: how long it takes to put them under
//! guard, how long writers wait for that, and what a phase costs then. `cargo bench --bench many_tables`.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::testing::{
    ApprovesEverything, ScratchDatabase, ScratchRole, ScriptedSwitch, TestPostgres,
};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Run, Simulate, Start, Switch, Target, Ungated, connect::PostgresConnector, schema::protect,
};
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

type Answer<T> = Result<T, Box<dyn StdError>>;

const TABLES: usize = 1_000;
const PARTITIONS: usize = 5_000;

/// How many phases are performed; the first is not counted.
const PHASES: usize = 30;

#[derive(Serialize, Deserialize)]
struct Note(usize, String);

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
    fn simulate(&mut self, note: &Note, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert(&note.1, 1);
        Ok(1)
    }
}

impl Execute<Note> for Notes {
    fn execute(&mut self, note: &Note, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(tx.execute(&format!("INSERT INTO {} VALUES (1)", note.1), &[])?)
    }
}

/// Performs the phases, and returns how long each took.
fn notes<'run, M: Mode, W: Perform<M, Note>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    table: &str,
) -> Result<Vec<Duration>, Error> {
    let one = |n| {
        let begun = Instant::now();
        let note = run.phase(Note(n, table.to_owned()));
        note.perform(on, Ungated, Start)?;
        Ok(begun.elapsed())
    };
    (0..PHASES).map(one).collect()
}

/// The first phase of a run that writes `table`, and the median of the others.
fn phases(database: &ScratchDatabase, runner: &ScratchRole, table: &str) -> Answer<(u128, u128)> {
    let target = Target::identify(&mut runner.config().connect(NoTls)?)?;
    let dry = DryRunner::new("bench")
        .target(target)
        .simulator(Notes)
        .run(|run, on| notes(run, on, table))?;
    ApprovesEverything::admit(&mut database.install()?, &dry.plan)?;
    let ran = LiveRunner::new("bench")
        .plan(dry.plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(Notes)
        .run(|run, on| notes(run, on, table))?;
    let mut times = ran.value;
    let first = times.remove(0);
    times.sort();
    Ok((first.as_micros(), times[times.len() / 2].as_micros()))
}

/// Writes a table over and over, and returns the longest time that a row took.
fn application(config: &Config, table: &str, ends: &AtomicBool) -> Answer<Duration> {
    let mut client = config.connect(NoTls)?;
    let insert = client.prepare(&format!("INSERT INTO {table} VALUES (2)"))?;
    let mut longest = Duration::ZERO;
    while !ends.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.execute(&insert, &[])?;
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

/// Puts `tables` under guard while an application writes the last of them.
fn protected(admin: &mut Client, config: &Config, tables: &[String]) -> Answer<()> {
    let ends = AtomicBool::new(false);
    let last = tables.last().ok_or("no table")?;
    let (took, longest) = thread::scope(|scope| -> Answer<_> {
        let writes = scope.spawn(|| application(config, last, &ends).map_err(|e| e.to_string()));
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        let protects = tables.iter().try_for_each(|table| protect(admin, table));
        let took = begun.elapsed();
        ends.store(true, Ordering::Relaxed);
        let longest = writes.join().map_err(|_| "a panic")??;
        protects?;
        Ok((took, longest))
    })?;
    println!(
        "| `protect`, {} tables named | {} ms |\n| .. the longest that a row of an application took | {} ms |",
        tables.len(),
        took.as_millis(),
        longest.as_millis()
    );
    Ok(())
}

fn main() -> Answer<()> {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_locks_per_transaction", "512")
        .start()?;
    let database = server.create_database()?;
    let begun = Instant::now();
    database.install()?;
    println!("| a thousand tables, and one of five thousand partitions | |");
    println!("|---|---|");
    println!("| `install` | {} ms |", begun.elapsed().as_millis());
    let runner = database.create_runner("runner")?;
    let config = database.admin();
    let mut admin = config.connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE one (n bigint); GRANT INSERT ON one TO {}",
        runner.name()
    ))?;
    protect(&mut admin, "one")?;
    let (first, later) = phases(&database, &runner, "public.one")?;
    println!(
        "| a phase, one table under guard: the first, the later ones | {first} us, {later} us |"
    );

    let tables: Vec<_> = (0..TABLES).map(|n| format!("public.t{n}")).collect();
    for table in &tables {
        admin.batch_execute(&format!(
            "CREATE TABLE {table} (n bigint); GRANT INSERT ON {table} TO {}",
            runner.name()
        ))?;
    }
    protected(&mut admin, &config, &tables)?;
    let (first, later) = phases(&database, &runner, "public.t7")?;
    println!("| a phase, 1,001 tables under guard | {first} us, {later} us |");

    admin.batch_execute(&format!(
        "CREATE TABLE parts (n bigint) PARTITION BY RANGE (n); GRANT INSERT ON parts TO {}",
        runner.name()
    ))?;
    for n in 0..PARTITIONS {
        admin.batch_execute(&format!(
            "CREATE TABLE parts_{n} PARTITION OF parts FOR VALUES FROM ({n}) TO ({})",
            n + 1
        ))?;
    }
    protected(&mut admin, &config, &["public.parts".to_owned()])?;
    let (first, later) = phases(&database, &runner, "public.parts")?;
    println!("| a phase that writes the table of 5,000 partitions | {first} us, {later} us |");
    let (first, later) = phases(&database, &runner, "public.t8")?;
    println!("| a phase that writes another table | {first} us, {later} us |");
    Ok(())
}
