//! What the interlock costs the server, part by part, as the server itself counts it (`track_functions`), and
//! a guarded phase beside a bare transaction. `cargo bench --bench server_work`.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch, TestPostgres};
use phasegate::{
    Digest, DryRunner, Effects, Execute, Failure, Gate, LiveRunner, PhaseSpec, PhaseTx, Plan, Sg1,
    Simulate, Start, Target, connect::PostgresConnector, schema::protect,
};
use postgres::{Client, NoTls};
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
        Ok(tx.execute("INSERT INTO note VALUES ($1)", &[&i64::from(note.0)])?)
    }
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
    let mut plans = Vec::new();
    for n in 0..2 * PHASES {
        let plan = DryRunner::new("bench")
            .target(target.clone())
            .simulator(Notes)
            .run(|run, on| {
                let sg1 = run.approval()?;
                Ok(run.phase(Note(n)).perform(on, sg1, Start)?.into_output())
            })?
            .plan;
        ApprovesEverything::admit(&mut operator, &plan)?;
        plans.push(plan);
    }
    let again = plans.split_off(plans.len() / 2);
    admin.batch_execute("SELECT pg_stat_reset(); CHECKPOINT")?;

    let (mut guarded, mut bare) = (Vec::new(), Vec::new());
    for (plan, n) in plans.into_iter().zip(0..) {
        let begun = Instant::now();
        let _ = LiveRunner::new("bench")
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(PostgresConnector::no_tls(runner.config()))
            .adapter(Notes)
            .run(|run, on| {
                let sg1 = run.approval()?;
                Ok(run.phase(Note(n)).perform(on, sg1, Start)?.into_output())
            })?;
        guarded.push(begun.elapsed());

        let begun = Instant::now();
        let mut client = runner.config().connect(NoTls)?;
        let mut tx = client.transaction()?;
        tx.execute("INSERT INTO bare VALUES ($1)", &[&i64::from(n)])?;
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

    println!("In a session of its own for each phase, as the engine has it:\n");
    report(&mut admin, PHASES)?;

    admin.batch_execute("SELECT pg_stat_reset()")?;
    let mut session = runner.config().connect(NoTls)?;
    for plan in &again {
        session.batch_execute(&by_hand(plan))?;
    }
    session.close()?;
    println!("\nThe same messages, by hand, all in one session:\n");
    report(&mut admin, PHASES)?;
    Ok(())
}

/// All that the engine and the adapter say in a phase, in one message.
fn by_hand(plan: &Plan) -> String {
    let phase = &plan.phases()[0];
    let digest = plan.digest().to_string();
    let nonce = format!("{} for {} of {digest}", Sg1::NAME, phase.name());
    let request = serde_json::json!({
        "protocol": 1, "plan": digest, "place": 1, "phase": phase.name(), "input": phase.input(),
        "nonce": digest[..32], "lock": Digest::of(b"secret"), "approvals": [nonce],
        "application_name": "by hand", "refuse_privileged_role": true, "lock_timeout": 10_000,
        "statement_timeout": 60_000, "idle_timeout": 60_000, "phase_timeout": 60_000,
    });
    format!(
        "BEGIN; SELECT phasegate.open(decode('{}', 'hex')); INSERT INTO note VALUES (1); \
         SELECT phasegate.seal('secret'); SET CONSTRAINTS ALL IMMEDIATE; \
         SELECT phasegate.finish('1'); COMMIT",
        hex(request.to_string().as_bytes())
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
