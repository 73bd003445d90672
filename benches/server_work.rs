//! What the interlock costs the server, part by part, as the server itself counts it (`track_functions`), and
//! a guarded phase beside a bare transaction. `cargo bench --bench server_work`.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::ops::Range;
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch, TestPostgres};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Plan, Run, Sg1, Simulate, Start, Switch, Target, connect::PostgresConnector,
    runner::ReadyRunner, schema::protect,
};
use postgres::types::Type;
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

/// How many phases are performed, each of them the one phase of a plan.
const PHASES: u32 = 300;

#[derive(Serialize, Deserialize)]
struct Note(u32);

impl PhaseSpec for Note {
    const NAME: &'static str = "note";
    type Gate = Sg1;
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
    fn execute(&mut self, note: &Note, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let insert = ("INSERT INTO note VALUES ($1)", [Type::INT8]);
        Ok(tx.execute(&insert, &[&i64::from(note.0)])?)
    }
}

fn notes<'run, M: Mode, W: Perform<M, Note>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    of: Range<u32>,
) -> Result<(), Error> {
    for n in of {
        let sg1 = run.approval()?;
        run.phase(Note(n)).perform(on, sg1, Start)?;
    }
    Ok(())
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
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("track_functions", "all")
        .start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE note (n bigint); CREATE TABLE bare (n bigint); \
         GRANT INSERT ON note, bare TO {}",
        runner.name()
    ))?;
    protect(&mut admin, "note")?;
    let target = Target::identify(&mut runner.config().connect(NoTls)?)?;
    let mut plan = |of: Range<u32>| -> Result<Plan, Box<dyn StdError>> {
        let dry = DryRunner::new("bench")
            .target(target.clone())
            .simulator(Notes)
            .run(|run, on| notes(run, on, of))?;
        ApprovesEverything::admit(&mut operator, &dry.plan)?;
        Ok(dry.plan)
    };
    let plans = (0..PHASES)
        .map(|n| plan(n..n + 1))
        .collect::<Result<Vec<_>, _>>()?;
    let many = plan(PHASES..2 * PHASES)?;
    admin.batch_execute("SELECT pg_stat_reset(); CHECKPOINT")?;

    let (mut guarded, mut bare) = (Vec::new(), Vec::new());
    for (plan, n) in plans.into_iter().zip(0..) {
        let begun = Instant::now();
        let _ = live(&plan, runner.config()).run(|run, on| notes(run, on, n..n + 1))?;
        guarded.push(begun.elapsed());

        let begun = Instant::now();
        let mut client = runner.config().connect(NoTls)?;
        let mut tx = client.transaction()?;
        tx.execute_typed(
            "INSERT INTO bare VALUES ($1)",
            &[(&i64::from(n), Type::INT8)],
        )?;
        tx.commit()?;
        client.close()?;
        bare.push(begun.elapsed());
    }
    println!("| from connect to commit, N = 1 | median | fastest tenth |");
    println!("|---|---|---|");
    for (what, times) in [
        ("bare transaction", &mut bare),
        ("guarded phase", &mut guarded),
    ] {
        times.sort();
        let (median, tenth) = (times[times.len() / 2], times[times.len() / 10]);
        println!(
            "| {what} | {} us | {} us |",
            median.as_micros(),
            tenth.as_micros()
        );
    }
    let ratio =
        |of: fn(&[Duration]) -> Duration| of(&guarded).as_secs_f64() / of(&bare).as_secs_f64();
    let (median, tenth) = (ratio(|t| t[t.len() / 2]), ratio(|t| t[t.len() / 10]));
    println!("| ratio | {median:.2} | {tenth:.2} |\n");

    println!("Each phase in a run, and so in a session, of its own:\n");
    report(&mut admin, PHASES)?;

    admin.batch_execute("SELECT pg_stat_reset()")?;
    let _ = live(&many, runner.config()).run(|run, on| notes(run, on, PHASES..2 * PHASES))?;
    println!("\nAll in one run, whose phases share a session:\n");
    report(&mut admin, PHASES)?;
    Ok(())
}

/// What each function of the schema took.
fn report(admin: &mut Client, phases: u32) -> Result<(), Box<dyn StdError>> {
    // Counters reach the view when the session that counted them has ended.
    let counted = "SELECT funcname, calls, total_time, self_time FROM pg_stat_user_functions \
                   WHERE schemaname = 'phasegate' AND calls >= $1 ORDER BY total_time DESC";
    println!(
        "| function | calls for each phase | microseconds for each call, with what it calls | without |"
    );
    println!("|---|---|---|---|");
    for row in admin.query(counted, &[&i64::from(phases / 2)])? {
        let (name, calls): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (total, alone): (f64, f64) = (row.try_get(2)?, row.try_get(3)?);
        #[allow(clippy::cast_precision_loss)] // a few thousand calls
        let calls = calls as f64;
        println!(
            "| {name} | {:.1} | {:.0} | {:.0} |",
            calls / f64::from(phases),
            total * 1000.0 / calls,
            alone * 1000.0 / calls
        );
    }
    Ok(())
}
