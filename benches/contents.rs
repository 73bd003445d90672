//! What a guard by contents costs a phase, and how often honest runs are refused beside an application that writes the
//! same rows. `cargo bench --bench contents`. Linux only: it reads the CPU time of the server's process.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use phasegate::error::RollbackCause;
use phasegate::schema::{Guard, protect_as};
use phasegate::testing::{
    ApprovesEverything, ScratchDatabase, ScratchRole, ScriptedSwitch, TestPostgres,
};
use phasegate::{
    Error, Failure, LiveRunner, PhaseSpec, PhaseTx, RehearsalRunner, Start, Ungated, adapter_fn,
    connect::PostgresConnector, runner::RehearsalReport,
};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

type Answer<T> = Result<T, Box<dyn StdError>>;

/// The rows of the table.
const ROWS: i32 = 10_000;

/// The statements of one row in a phase.
const SINGLE: i32 = 1_000;

/// The rounds for each kind of guard.
const ROUNDS: usize = 9;

/// The honest runs beside an application, and the rows that each changes.
const RUNS: i32 = 40;
const CHANGED: i32 = 500;

/// What passes between the second rehearsal and the run.
const APPROVAL: Duration = Duration::from_millis(500);

/// The pause of the application between two statements of one row.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Change(i32);

impl PhaseSpec for Change {
    const NAME: &'static str = "change";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

fn main() -> Answer<()> {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("fsync", "off")
        .setting("autovacuum", "off")
        .start()?;
    let database = server.create_database()?;
    let _operator = database.install()?;
    let runner = database.create_runner("runner")?;
    database.admin().connect(NoTls)?.batch_execute(&format!(
        "CREATE ROLE application LOGIN; \
         CREATE TABLE orders (id int PRIMARY KEY, customer int, country text, currency text, cents int, \
           status text, note text, at timestamptz, by text, n int) WITH (fillfactor = 50); \
         INSERT INTO orders SELECT i, i % 100, 'DE', 'EUR', i, 'new', repeat('x', 40), 'epoch', 'nobody', 0 \
           FROM generate_series(1, {ROWS}) AS i; \
         GRANT SELECT, UPDATE ON orders TO application, {}",
        runner.name()
    ))?;
    costs(&database, &runner)?;
    refusals(&database, &runner)
}

/// Rehearses the phase by what `does` does.
fn rehearse(
    runner: &ScratchRole,
    change: Change,
    mut does: impl FnMut(Change, &mut PhaseTx<'_>) -> Result<u64, Failure>,
) -> Result<RehearsalReport<u64>, Error> {
    RehearsalRunner::new("bench")
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(adapter_fn(|change: &Change, (), tx: &mut PhaseTx<'_>| {
            does(*change, tx)
        }))
        .run(|run, on| Ok(run.phase(change).perform(on, Ungated, Start)?.into_output()))
}

/// The server CPU that a statement of many rows and one of one row take, by each kind of guard.
fn costs(database: &ScratchDatabase, runner: &ScratchRole) -> Answer<()> {
    let mut admin = database.admin().connect(NoTls)?;
    let mut kinds = Vec::new();
    for guard in [Guard::Counters, Guard::Statements, Guard::Contents] {
        kinds.push((guard, Vec::new(), Vec::new()));
    }
    for round in 0..=ROUNDS {
        for (guard, many, single) in &mut kinds {
            protect_as(&mut admin, "orders", *guard)?;
            admin.batch_execute("VACUUM orders")?;
            let mut spent = [Duration::ZERO; 2];
            rehearse(runner, Change(0), |_, tx| {
                let pid: i32 = tx.query_one("SELECT pg_backend_pid()", &[])?.get(0);
                let set = "UPDATE orders SET currency = 'XXX', cents = cents + 1 WHERE id";
                let one = tx.prepare(&format!("{set} = $1"))?;
                for id in 1..=20 {
                    tx.execute(&one, &[&id])?;
                }
                let before = cpu(pid)?;
                for id in 1..=SINGLE {
                    tx.execute(&one, &[&id])?;
                }
                let between = cpu(pid)?;
                tx.execute(&format!("{set} > 0"), &[])?;
                spent = [
                    between.saturating_sub(before),
                    cpu(pid)?.saturating_sub(between),
                ];
                Ok(0)
            })?;
            // The first round reads everything for the first time.
            if round > 0 {
                single.push(spent[0].as_secs_f64() * 1e6 / f64::from(SINGLE));
                many.push(spent[1].as_secs_f64() * 1e6 / f64::from(ROWS));
            }
        }
    }
    println!(
        "\n| guard | one row by a statement, us of server CPU | a row of a statement of {ROWS}, us |"
    );
    println!("|---|---|---|");
    for (guard, mut many, mut single) in kinds {
        many.sort_by(f64::total_cmp);
        single.sort_by(f64::total_cmp);
        let middle = ROUNDS / 2;
        println!(
            "| {guard:?} | {:.0} | {:.2} |",
            single[middle], many[middle]
        );
    }
    Ok(())
}

/// How many of the honest runs are refused while an application writes the same rows: other columns, and the same one.
fn refusals(database: &ScratchDatabase, runner: &ScratchRole) -> Answer<()> {
    protect_as(
        &mut database.admin().connect(NoTls)?,
        "orders",
        Guard::Contents,
    )?;
    println!(
        "\n| the application writes | its statements | runs refused, of {RUNS} |\n|---|---|---|"
    );
    for (what, set) in [
        (
            "another column of the same rows",
            "status = 's' || $1::bigint",
        ),
        ("the same column", "currency = 'C' || $1::bigint"),
    ] {
        let ends = AtomicBool::new(false);
        let written = AtomicU64::new(0);
        let refused = thread::scope(|scope| -> Answer<usize> {
            let writes = scope.spawn(|| -> Result<(), String> {
                let mut client = database.admin().user("application").connect(NoTls);
                let client = client.as_mut().map_err(|error| error.to_string())?;
                let update =
                    format!("UPDATE orders SET {set} WHERE id = 1 + $1::bigint * 7919 % {ROWS}");
                for n in 0_i64.. {
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                    let done = client.execute(&update, &[&n]);
                    done.map_err(|error| error.to_string())?;
                    written.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
                Ok(())
            });
            let refused = (0..RUNS).map(|n| honest_run(database, runner, n));
            let refused = refused.collect::<Answer<Vec<bool>>>();
            ends.store(true, Ordering::Relaxed);
            writes.join().map_err(|_| "a panic")??;
            Ok(refused?.into_iter().filter(|refused| *refused).count())
        })?;
        println!(
            "| {what} | {} | {refused} |",
            written.load(Ordering::Relaxed)
        );
    }
    Ok(())
}

fn sets_currency(change: Change, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    let currency = format!("D{}", change.0);
    let set = "UPDATE orders SET currency = $1 WHERE id <= $2";
    Ok(tx.execute(set, &[&currency, &CHANGED])?)
}

/// Rehearses twice, waits, and performs live; returns whether that was refused for its contents.
fn honest_run(database: &ScratchDatabase, runner: &ScratchRole, n: i32) -> Answer<bool> {
    let change = Change(n);
    let first = rehearse(runner, change, sets_currency)?;
    let plan = first
        .confirmed_by(&rehearse(runner, change, sets_currency)?)?
        .plan;
    ApprovesEverything::admit(&mut database.install()?, &plan)?;
    thread::sleep(APPROVAL);
    let ran = LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(adapter_fn(|change: &Change, (), tx: &mut PhaseTx<'_>| {
            sets_currency(*change, tx)
        }))
        .run(|run, on| Ok(run.phase(change).perform(on, Ungated, Start)?.into_output()));
    match ran {
        Ok(_) => Ok(false),
        Err(Error::RolledBack(rollback))
            if matches!(rollback.cause(), RollbackCause::ContentsDiffer(_)) =>
        {
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// The CPU time of a process, as the kernel counts it.
fn cpu(pid: i32) -> std::io::Result<Duration> {
    let scheduled = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds = scheduled.split_whitespace().next();
    let nanoseconds = nanoseconds.and_then(|text| text.parse().ok());
    Ok(Duration::from_nanos(nanoseconds.unwrap_or(0)))
}
