//! The same statement, in a bare transaction and in a guarded phase.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Execute, Failure, LiveRunner, PhaseSpec, PhaseTx, Plan, Sg1, Simulate,
    Start, Target,
    connect::{ConnectError, Connection, Connector, PostgresConnector},
};
use postgres::{Client, Config, NoTls, Statement};
use serde::{Deserialize, Serialize};

use crate::Answer;

pub(crate) const INSERT_BARE: &str = "INSERT INTO bare VALUES ($1)";

/// From connecting to the response to the commit, and the session ended.
pub(crate) fn bare(config: &Config, note: u32) -> Answer<()> {
    let mut client = config.connect(NoTls)?;
    in_session(&mut client, note)?;
    Ok(client.close()?)
}

/// In an open session, with all statements of a phase's transaction.
pub(crate) fn in_session(client: &mut Client, note: u32) -> Answer<()> {
    let mut tx = client.transaction()?;
    let insert = tx.prepare(INSERT_BARE)?;
    tx.execute(&insert, &[&i64::from(note)])?;
    Ok(tx.commit()?)
}

/// In an open session in which the statement was prepared before.
pub(crate) fn say(client: &mut Client, insert: &Statement, note: u32) -> Answer<()> {
    let mut tx = client.transaction()?;
    tx.execute(insert, &[&i64::from(note)])?;
    Ok(tx.commit()?)
}

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
        let insert = tx.prepare("INSERT INTO note VALUES ($1)")?;
        Ok(tx.execute(&insert, &[&i64::from(note.0)])?)
    }
}

pub(crate) fn plan_of(target: &Target, note: u32) -> Answer<Plan> {
    let planned = DryRunner::new("bench")
        .target(target.clone())
        .simulator(Notes)
        .run(|run, on| {
            let sg1 = run.approval()?;
            Ok(run.phase(Note(note)).perform(on, sg1, Start)?.into_output())
        })?;
    Ok(planned.plan)
}

/// Performs the plan of a note, and returns how long that took once there was a session.
pub(crate) fn guarded(config: &Config, plan: Plan, note: u32) -> Answer<Duration> {
    let connected = Arc::new(Mutex::new(None));
    let _ran = LiveRunner::new("bench")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(SaysWhen(
            PostgresConnector::no_tls(config.clone()),
            connected.clone(),
        ))
        .adapter(Notes)
        .run(|run, on| {
            let sg1 = run.approval()?;
            Ok(run.phase(Note(note)).perform(on, sg1, Start)?.into_output())
        })?;
    let connected = connected.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(connected.ok_or("the phase did not connect")?.elapsed())
}

/// A connector that records when it had connected.
struct SaysWhen(PostgresConnector, Arc<Mutex<Option<Instant>>>);

impl Connector for SaysWhen {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let connection = self.0.connect()?;
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(connection)
    }
}
