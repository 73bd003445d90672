//! What a statement for each row takes in a live phase on a table under guard, beside a loop and beside one statement for
//! all rows. `cargo bench --bench row_statements`.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScratchRole, ScriptedSwitch, TestPostgres};
use phasegate::{
    DryRunner, Effects, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx, Run, Sg1,
    Simulate, Start, Switch, Target, connect::PostgresConnector, operator::Operator,
};
use postgres::{Client, NoTls};
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn StdError>>;

const ROWS: u32 = 10_000;
const ROUNDS: u32 = 7;

const INSERT: &str = "INSERT INTO item VALUES ($1, $2)";
const UPDATE: &str = "UPDATE item SET title = $2 WHERE id = $1";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Loop,
    Rows,
    AtOnce,
    Copy,
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Way::Loop => "`for_each_row`, a prepared statement",
            Way::Rows => "`rows(..).execute(..)`",
            Way::AtOnce => "one statement for all rows",
            Way::Copy => "`copy_in`",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct WriteItems {
    way: Way,
    inserts: bool,
    /// A plan is performed once.
    round: u32,
}

impl PhaseSpec for WriteItems {
    const NAME: &'static str = "write";
    type Gate = Sg1;
    type After = Start;
    type Output = ();
}

struct Predicts;

impl Simulate<WriteItems> for Predicts {
    fn simulate(
        &mut self,
        write: &WriteItems,
        (): (),
        effects: &mut Effects,
    ) -> Result<(), Failure> {
        let rows = u64::from(ROWS);
        if write.inserts {
            effects.insert("public.item", rows);
        } else {
            effects.update("public.item", rows);
        }
        Ok(())
    }
}

/// Keeps how long its statements took.
struct Item(Arc<Mutex<Duration>>);

impl Execute<WriteItems> for Item {
    fn execute(&mut self, write: &WriteItems, (): (), tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
        let rows: Vec<_> = (0..i64::from(ROWS))
            .map(|id| (id, format!("title {} of {id}", write.round)))
            .collect();
        let began = Instant::now();
        perform(*write, &rows, tx)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = began.elapsed();
        Ok(())
    }
}

fn perform(write: WriteItems, rows: &[(i64, String)], tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    let sql = if write.inserts { INSERT } else { UPDATE };
    let changed = |changed| match changed {
        1 => Ok(()),
        _ => Err(Failure::new("one row was to be changed")),
    };
    match write.way {
        Way::Loop => {
            let statement = tx.prepare(sql)?;
            tx.for_each_row(
                rows,
                |(id, _)| *id,
                |tx, (id, title)| changed(tx.execute(&statement, &[id, title])?),
            )?;
        }
        Way::Rows => {
            tx.batch(rows).execute(
                sql,
                |(id, title), params| params.with(id).with(title),
                |_, count| changed(count),
            )?;
        }
        Way::AtOnce => {
            let (ids, titles): (Vec<i64>, Vec<&str>) =
                rows.iter().map(|(id, title)| (*id, title.as_str())).unzip();
            let sql = if write.inserts {
                "INSERT INTO item SELECT * FROM unnest($1::bigint[], $2::text[])"
            } else {
                "UPDATE item SET title = r.title FROM unnest($1::bigint[], $2::text[]) AS r (id, title) WHERE item.id = r.id"
            };
            tx.execute(sql, &[&ids, &titles])?;
        }
        Way::Copy => {
            tx.copy_in("COPY item FROM STDIN", |copy| {
                for (id, title) in rows {
                    writeln!(copy, "{id}\t{title}")?;
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn pipeline<'run, M: Mode, W: Perform<M, WriteItems>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    write: WriteItems,
) -> Result<(), phasegate::Error> {
    let sg1 = run.approval()?;
    run.phase(write).perform(on, sg1, Start).map(drop)
}

fn measure(
    write: WriteItems,
    runner: &ScratchRole,
    admin: &mut Client,
    operator: &mut Operator,
) -> Outcome<Duration> {
    let filled = "INSERT INTO item SELECT n, 'first' FROM generate_series(0, $1::bigint - 1) AS n";
    admin.batch_execute("TRUNCATE item")?;
    if !write.inserts {
        admin.execute(filled, &[&i64::from(ROWS)])?;
    }
    admin.batch_execute("VACUUM ANALYZE item")?;
    let plan = DryRunner::new("bench")
        .target(Target::identify(&mut runner.config().connect(NoTls)?)?)
        .simulator(Predicts)
        .run(|run, on| pipeline(run, on, write))?
        .plan;
    ApprovesEverything::admit(operator, &plan)?;
    let took = Arc::default();
    let _ = LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(Item(Arc::clone(&took)))
        .run(|run, on| pipeline(run, on, write))?;
    let took = *took.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(took)
}

fn main() -> Outcome<()> {
    let server = TestPostgres::builder()
        .setting("fsync", "on")
        .ignore_database_url()
        .start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE item (id bigint PRIMARY KEY, title text NOT NULL); SELECT phasegate.protect('item'); \
         GRANT SELECT, INSERT, UPDATE ON item TO {}",
        runner.name()
    ))?;
    let mut table = String::new();
    for (inserts, ways) in [
        (true, &[Way::Loop, Way::Rows, Way::AtOnce, Way::Copy][..]),
        (false, &[Way::Loop, Way::Rows, Way::AtOnce]),
    ] {
        let mut times = vec![Vec::new(); ways.len()];
        // The first round is for nothing.
        for round in 0..=ROUNDS {
            for (way, times) in ways.iter().zip(&mut times) {
                let write = WriteItems {
                    way: *way,
                    inserts,
                    round,
                };
                let took = measure(write, &runner, &mut admin, &mut operator)?;
                if round > 0 {
                    times.push(took.as_secs_f64());
                }
            }
        }
        let looped = times[0].clone();
        for (way, times) in ways.iter().zip(&times) {
            let ratios = times
                .iter()
                .zip(&looped)
                .map(|(time, looped)| looped / time);
            let each = median(times.iter().map(|time| time * 1e6 / f64::from(ROWS)));
            let what = if inserts { "INSERT" } else { "UPDATE" };
            writeln!(
                table,
                "| {what} | {} | {each:.1} | {:.1} |",
                way.label(),
                median(ratios)
            )?;
        }
    }
    println!(
        "| {ROWS} rows | by | microseconds for each | times as fast as the loop |\n|---|---|---|---|\n{table}"
    );
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
