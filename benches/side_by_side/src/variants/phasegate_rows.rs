//! A live run of a plan of two phases on tables under guard: row calls, a loop, or what the hand would write.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx, Run, Sg1,
    Sg2, Simulate, Start, Switch, Target,
    connect::{ConnectError, Connection, Connector, PostgresConnector},
    operator::Operator,
    runner::{Event, Step},
};
use postgres::types::Json;
use postgres::{Client, NoTls};
use serde::{Deserialize, Serialize};

use super::set_based;
use crate::work::{Answer, Call, Charter, Clock, Job, Link, Outcome, Times, Variant, source};

/// What the phases of a round have in common: the rows are named by the digest of what they are made
/// from, and streamed.
#[derive(Clone, Serialize, Deserialize)]
struct Rows {
    source: String,
    n: u64,
    /// A plan is performed once.
    round: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Create(Rows);

#[derive(Clone, Serialize, Deserialize)]
struct Enact(Rows);

impl PhaseSpec for Create {
    const NAME: &'static str = "create";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

impl PhaseSpec for Enact {
    const NAME: &'static str = "enact";
    type Gate = Sg2;
    type After = Create;
    type Output = u64;
}

struct Predicts;

impl Simulate<Create> for Predicts {
    fn simulate(
        &mut self,
        Create(rows): &Create,
        (): (),
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects
            .insert("iu.unit", rows.n)
            .insert("iu.lifecycle_log", rows.n);
        Ok(rows.n)
    }
}

impl Simulate<Enact> for Predicts {
    fn simulate(
        &mut self,
        Enact(rows): &Enact,
        _: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        effects
            .update("iu.unit", rows.n)
            .insert("iu.lifecycle_log", rows.n);
        Ok(rows.n)
    }
}

/// How the adapter performs its rows.
#[derive(Clone, Copy)]
pub enum How {
    RowBatch,
    Loop,
    ByHand,
}

struct Register<'a> {
    how: How,
    charter: &'a Charter,
}

impl Register<'_> {
    fn perform(&self, rows: &Rows, call: Call, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        if rows.source != source().to_string() {
            return Err(Failure::new("these are not the rows of the plan"));
        }
        match self.how {
            How::RowBatch => self.row_calls(rows.n, call, tx),
            How::Loop => self.one_by_one(rows.n, call, tx),
            How::ByHand => self.by_hand(rows.n, call, tx),
        }
    }

    fn by_hand(&self, n: u64, call: Call, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let statement = tx.prepare(&set_based::sql(call))?;
        let mut inputs = self.charter.inputs(call, n);
        let mut done = 0;
        loop {
            let chunk: Vec<_> = inputs.by_ref().take(set_based::CHUNK).map(Json).collect();
            if chunk.is_empty() {
                return Ok(done);
            }
            for row in tx.query(&statement, &[&chunk])? {
                let Json(answer): Json<Answer> = row.try_get(1)?;
                accepted(&answer)?;
                done += 1;
            }
        }
    }

    fn one_by_one(&self, n: u64, call: Call, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let statement = tx.prepare(&format!("SELECT {}($1)", call.function()))?;
        let done = tx.for_each_row(
            self.charter.inputs(call, n),
            |input| input.address().to_owned(),
            |tx, input| {
                let row = tx.query_one(&statement, &[&Json(input)])?;
                let Json(answer): Json<Answer> = row.try_get(0)?;
                accepted(&answer)
            },
        )?;
        Ok(done.len() as u64)
    }

    fn row_calls(&self, n: u64, call: Call, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let done: Vec<()> = tx
            .batch(self.charter.inputs(call, n))
            .key(|input| input.address().to_owned())
            .call(
                call.function(),
                |input, params| params.with(&Json(input)),
                |_, Json(answer): Json<Answer>| accepted(&answer),
            )?;
        Ok(done.len() as u64)
    }
}

fn accepted(answer: &Answer) -> Result<(), Failure> {
    answer
        .check()
        .map_err(|error| Failure::new(error.to_string()))
}

impl Execute<Create> for Register<'_> {
    fn execute(
        &mut self,
        Create(rows): &Create,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        self.perform(rows, Call::Create, tx)
    }
}

impl Execute<Enact> for Register<'_> {
    fn execute(
        &mut self,
        Enact(rows): &Enact,
        _: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        self.perform(rows, Call::Enact, tx)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, Create> + Perform<M, Enact>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    rows: &Rows,
    link: &mut Link<'_>,
) -> Outcome<()> {
    let sg1 = run.approval()?;
    let created = run.phase(Create(rows.clone())).perform(on, sg1, Start)?;
    link()?;
    let sg2 = run.approval()?;
    run.phase(Enact(rows.clone())).perform(on, sg2, &created)?;
    Ok(())
}

/// Connects, and tells the clock of a phase: the first phase of the run connects, and the second has its session.
struct Timed {
    connector: PostgresConnector,
    clock: Arc<Mutex<Clock>>,
}

impl Connector for Timed {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let connection = self.connector.connect();
        self.clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .connected();
        connection
    }
}

impl Variant for How {
    fn round(&mut self, job: &Job<'_>, link: &mut Link<'_>) -> Outcome<[Times; 2]> {
        let target = Target::identify(&mut Client::connect(&job.site.runner, NoTls)?)?;
        let round = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let rows = Rows {
            source: source().to_string(),
            n: job.n,
            round: round.to_string(),
        };
        let plan = DryRunner::new("side_by_side")
            .target(target)
            .simulator(Predicts)
            .try_run(|run, on| pipeline(run, on, &rows, &mut || Ok(())))?
            .plan;
        ApprovesEverything::admit(&mut Operator::new(job.site.admin()?), &plan)?;

        let clock = Arc::new(Mutex::new(Clock::start()));
        let times = Arc::new(Mutex::new(Vec::new()));
        let (stopped, stop) = (Arc::clone(&clock), Arc::clone(&times));
        let _ran = LiveRunner::new("side_by_side")
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(Timed {
                connector: PostgresConnector::no_tls(job.site.runner.parse()?),
                clock,
            })
            .adapter(Register {
                how: *self,
                charter: job.charter,
            })
            .observer(move |event| {
                let mut clock = stopped.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    // What comes next involves the server.
                    Event::Passed {
                        step: Step::AsPlanned,
                        ..
                    } => *clock = Clock::start(),
                    Event::Passed {
                        step: Step::Committed,
                        ..
                    } => stop
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(clock.stop()),
                    _ => {}
                }
            })
            .try_run(|run, on| pipeline(run, on, &rows, link))?;
        let times = times.lock().unwrap_or_else(PoisonError::into_inner);
        let times: &[Times; 2] = times.as_slice().try_into()?;
        Ok(*times)
    }
}
