//! The client's peak of memory in a live phase of 100,000 rows and of 1,000,000, and in a dry run and a live phase of an
//! input of about 100 MB; each in a process of its own. `cargo bench --bench client_memory`.

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::error::Error as StdError;
use std::process::Command;
use std::{env, fs};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch, TestPostgres};
use phasegate::{
    DryRunner, Effects, Execute, Failure, LiveRunner, PhaseSpec, PhaseTx, Sg1, Simulate, Start,
    Target, connect::PostgresConnector,
};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn StdError>>;

/// The environment variable with the number of rows that a child performs.
const ROWS: &str = "PHASEGATE_BENCH_ROWS";

/// The environment variable with the number of entries in the input of a child's phase.
const ENTRIES: &str = "PHASEGATE_BENCH_ENTRIES";

#[derive(Clone, Serialize, Deserialize)]
struct Measure(u64);

impl PhaseSpec for Measure {
    const NAME: &'static str = "measure";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

struct Lengths;

impl Simulate<Measure> for Lengths {
    fn simulate(&mut self, measure: &Measure, (): (), _: &mut Effects) -> Result<u64, Failure> {
        Ok(measure.0)
    }
}

impl Execute<Measure> for Lengths {
    fn execute(&mut self, spec: &Measure, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let texts = (0..spec.0).map(|n| format!("{n:0>200}"));
        let done = tx.batch(texts).call(
            "pg_catalog.octet_length",
            |text, params| params.with(text),
            |text, length: i32| match usize::try_from(length) {
                Ok(length) if length == text.len() => Ok(()),
                _ => Err(Failure::new("the server counts otherwise")),
            },
        )?;
        Ok(done.len() as u64)
    }
}

/// An input whose members are in another order than that of their names.
#[derive(Serialize, Deserialize)]
struct Ledger {
    entries: Vec<Entry>,
    closes: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: u64,
    text: String,
    account: String,
}

impl Ledger {
    fn of(entries: u64) -> Self {
        let entries = (0..entries).map(|id| Entry {
            id,
            text: format!("{id:0>400}"),
            account: format!("{id:0>80}"),
        });
        Ledger {
            entries: entries.collect(),
            closes: "2026".to_owned(),
        }
    }
}

impl PhaseSpec for Ledger {
    const NAME: &'static str = "ledger";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

impl Simulate<Ledger> for Lengths {
    fn simulate(&mut self, ledger: &Ledger, (): (), _: &mut Effects) -> Result<u64, Failure> {
        Ok(ledger.entries.len() as u64)
    }
}

impl Execute<Ledger> for Lengths {
    fn execute(&mut self, ledger: &Ledger, (): (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        Ok(ledger.entries.len() as u64)
    }
}

fn main() -> Outcome<()> {
    if let Ok(rows) = env::var(ROWS) {
        return perform(rows.parse()?);
    }
    if let Ok(entries) = env::var(ENTRIES) {
        return perform_ledger(entries.parse()?);
    }
    println!("| rows of 200 bytes | before the phase | at its peak |");
    println!("|---|---|---|");
    for rows in [100_000, 1_000_000] {
        print!("{}", child(ROWS, rows)?);
    }
    println!();
    println!("| input | its JSON | its value | the run beyond its value | in its JSON |");
    println!("|---|---|---|---|---|");
    print!("{}", child(ENTRIES, 200_000)?);
    Ok(())
}

fn child(variable: &str, number: u64) -> Outcome<String> {
    let child = Command::new(env::current_exe()?)
        .env(variable, number.to_string())
        .output()?;
    if !child.status.success() {
        return Err(String::from_utf8_lossy(&child.stderr).into());
    }
    Ok(String::from_utf8(child.stdout)?)
}

fn perform_ledger(entries: u64) -> Outcome<()> {
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let target = Target::identify(&mut runner.config().connect(NoTls)?)?;
    let json = serde_json::to_vec(&Ledger::of(entries))?.len() as u64 / 1024;
    let show = |run: &str, before: u64, value: u64, peak: u64| {
        let (value, beyond) = (value - before, peak - value);
        let ratio = beyond as f64 / json as f64;
        println!(
            "| {entries} entries, {run} | {json} KiB | {value} KiB | {beyond} KiB | {ratio:.2} |"
        );
    };

    let before = new_peak()?;
    let ledger = Ledger::of(entries);
    let value = peak()?;
    let plan = DryRunner::new("bench")
        .target(target)
        .simulator(Lengths)
        .run(|run, on| {
            let sg1 = run.approval()?;
            let done = run.phase(ledger).perform(on, sg1, Start)?;
            Ok(done.into_output())
        })?
        .plan;
    show("dry run", before, value, peak()?);

    ApprovesEverything::admit(&mut operator, &plan)?;
    let before = new_peak()?;
    let ledger = Ledger::of(entries);
    let value = peak()?;
    let done = LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(Lengths)
        .run(|run, on| {
            let sg1 = run.approval()?;
            let done = run.phase(ledger).perform(on, sg1, Start)?;
            Ok(done.into_output())
        })?;
    assert_eq!(done.value, entries);
    show("live", before, value, peak()?);
    Ok(())
}

fn perform(rows: u64) -> Outcome<()> {
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let plan = DryRunner::new("bench")
        .target(Target::identify(&mut runner.config().connect(NoTls)?)?)
        .simulator(Lengths)
        .run(|run, on| {
            let sg1 = run.approval()?;
            let done = run.phase(Measure(rows)).perform(on, sg1, Start)?;
            Ok(done.into_output())
        })?
        .plan;
    ApprovesEverything::admit(&mut operator, &plan)?;
    let before = peak()?;
    let done = LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(Lengths)
        .run(|run, on| {
            let sg1 = run.approval()?;
            let done = run.phase(Measure(rows)).perform(on, sg1, Start)?;
            Ok(done.into_output())
        })?;
    assert_eq!(done.value, rows);
    println!("| {rows} | {before} KiB | {} KiB |", peak()?);
    Ok(())
}

/// Begins the peak anew, and returns it.
fn new_peak() -> Outcome<u64> {
    fs::write("/proc/self/clear_refs", "5")?;
    peak()
}

/// Returns the peak of this process's resident memory, in KiB.
fn peak() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib
        .ok_or("there is no VmHWM in /proc/self/status")?
        .parse()?)
}
