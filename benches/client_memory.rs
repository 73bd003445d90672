//! The client's peak of memory in a live phase of 100,000 rows and of 1,000,000, each in a process of its own. `cargo
//! bench --bench client_memory`.

#![allow(clippy::print_stdout)]

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

fn main() -> Outcome<()> {
    if let Ok(rows) = env::var(ROWS) {
        return perform(rows.parse()?);
    }
    println!("| rows of 200 bytes | before the phase | at its peak |");
    println!("|---|---|---|");
    for rows in [100_000, 1_000_000] {
        let child = Command::new(env::current_exe()?)
            .env(ROWS, rows.to_string())
            .output()?;
        if !child.status.success() {
            return Err(String::from_utf8_lossy(&child.stderr).into());
        }
        print!("{}", String::from_utf8(child.stdout)?);
    }
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

/// Returns the peak of this process's resident memory, in KiB.
fn peak() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib
        .ok_or("there is no VmHWM in /proc/self/status")?
        .parse()?)
}
