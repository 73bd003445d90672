//! What a phase of one statement costs, beside a bare transaction of the same: the first phase of a run, the first one of
//! a run that was prepared, and the later ones; on a socket, and where each response takes a while.
//! `cargo bench --bench a_phase`.

#![allow(clippy::print_stdout)]

#[path = "../client_work/delay.rs"]
mod delay;

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScratchDatabase, ScriptedSwitch, TestPostgres};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Plan, Run, Sg1, Simulate, Start, Switch, Target, connect::PostgresConnector, schema::protect,
};
use postgres::types::Type;
use postgres::{Config, NoTls};
use serde::{Deserialize, Serialize};

type Answer<T> = Result<T, Box<dyn StdError>>;

/// How many phases of a run come after its first one.
const LATER: usize = 5;

#[derive(Serialize, Deserialize)]
struct Note {
    round: usize,
    number: usize,
    rows: i64,
}

impl PhaseSpec for Note {
    const NAME: &'static str = "note";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;

    fn instance(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

struct Notes;

impl Simulate<Note> for Notes {
    fn simulate(&mut self, note: &Note, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert("public.note", note.rows.unsigned_abs());
        Ok(1)
    }
}

impl Execute<Note> for Notes {
    fn execute(&mut self, note: &Note, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        for row in 0..note.rows {
            tx.execute(&("INSERT INTO note VALUES ($1)", [Type::INT8]), &[&row])?;
        }
        Ok(1)
    }
}

/// Performs a round's phases, and returns how long each took.
fn notes<'run, M: Mode, W: Perform<M, Note>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    round: usize,
    rows: i64,
) -> Result<Vec<Duration>, Error> {
    let one = |number| {
        let begun = Instant::now();
        let sg1 = run.approval()?;
        let note = Note {
            round,
            number,
            rows,
        };
        run.phase(note).perform(on, sg1, Start)?;
        Ok(begun.elapsed())
    };
    (0..=LATER).map(one).collect()
}

struct Lab<'a> {
    database: &'a ScratchDatabase,
    runner: Config,
    target: Target,
    rounds: usize,
}

impl Lab<'_> {
    fn admitted(&mut self, rows: i64) -> Answer<(usize, Plan)> {
        self.rounds += 1;
        let round = self.rounds;
        let plan = DryRunner::new("bench")
            .target(self.target.clone())
            .simulator(Notes)
            .run(|run, on| notes(run, on, round, rows))?
            .plan;
        ApprovesEverything::admit(&mut self.database.install()?, &plan)?;
        Ok((round, plan))
    }

    /// The phases of one run.
    fn run(&mut self, config: &Config, rows: i64, prepares: bool) -> Answer<Vec<Duration>> {
        let (round, plan) = self.admitted(rows)?;
        let mut live = LiveRunner::new("bench")
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(PostgresConnector::no_tls(config.clone()))
            .adapter(Notes);
        if prepares {
            live.prepare()?;
        }
        Ok(live.run(|run, on| notes(run, on, round, rows))?.value)
    }
}

/// A transaction by hand, from connecting to the response to its commit; `with` is said first.
fn bare(config: &Config, rows: i64, with: Option<&str>) -> Answer<Duration> {
    let begun = Instant::now();
    let mut client = config.connect(NoTls)?;
    let mut tx = client.transaction()?;
    if let Some(with) = with {
        tx.execute_typed(with, &[])?;
    }
    for row in 0..rows {
        tx.execute_typed("INSERT INTO bare VALUES ($1)", &[(&row, Type::INT8)])?;
    }
    tx.commit()?;
    let took = begun.elapsed();
    client.close()?;
    Ok(took)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Answer<()> {
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    database.install()?;
    let runner = database.create_runner("runner")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE note (n bigint); CREATE TABLE bare (n bigint); \
         CREATE FUNCTION nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'; \
         GRANT INSERT ON note, bare TO {}",
        runner.name()
    ))?;
    protect(&mut admin, "note")?;
    let mut lab = Lab {
        database: &database,
        runner: runner.config(),
        target: Target::identify(&mut runner.config().connect(NoTls)?)?,
        rounds: 0,
    };
    println!(
        "| from connecting, ratio to the bare transaction | bare | first phase | first phase, prepared | later phase | floor |"
    );
    println!("|---|---|---|---|---|---|");
    for (way, delay, rounds) in [
        ("a Unix socket", None, 40),
        ("TCP, each response 1 ms later", Some(1), 20),
        ("TCP, each response 10 ms later", Some(10), 8),
    ] {
        let config = match delay {
            None => lab.runner.clone(),
            Some(delay) => delay::in_front_of(&lab.runner, Duration::from_millis(delay))?,
        };
        for rows in [1, 3] {
            let mut columns = vec![Vec::new(); 5];
            for _ in 0..rounds {
                let plain = bare(&config, rows, None)?.as_secs_f64();
                let floor = bare(&config, rows, Some("SELECT nothing()"))?.as_secs_f64();
                let run = lab.run(&config, rows, false)?;
                let prepared = lab.run(&config, rows, true)?;
                let mut later: Vec<_> = run[1..].iter().map(Duration::as_secs_f64).collect();
                columns[0].push(plain * 1000.0);
                columns[1].push(run[0].as_secs_f64() / plain);
                columns[2].push(prepared[0].as_secs_f64() / plain);
                columns[3].push(median(&mut later) / plain);
                columns[4].push(floor / plain);
            }
            let found: Vec<_> = columns.iter_mut().map(|column| median(column)).collect();
            println!(
                "| {way}, {rows} statements | {:.2} ms | {:.2} | {:.2} | {:.2} | {:.2} |",
                found[0], found[1], found[2], found[3], found[4]
            );
        }
    }
    println!(
        "\nThe floor: the bare transaction, with one call of a PL/pgSQL function that does nothing."
    );
    Ok(())
}
