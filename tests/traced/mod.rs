//! A phase that can fail at every step, and collaborators that write down when they are called.
#![allow(unreachable_pub)]

use std::cell::RefCell;

use phasegate::testing::{Calls, Recorder, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, Invalid, LiveRunner, Mode, Perform, PhaseSpec,
    PhaseTx, Plan, Receipt, Run, Sg1, Simulate, Start, Switch, Target, approval::Authority,
    connect::Connector, runner::Event, switch::KillSwitch,
};
use serde::{Deserialize, Serialize};

use crate::server::{Database, PIPELINE, database};

thread_local! {
    /// What the spec's `validate`, which has no other way out, writes into.
    pub static CALLS: RefCell<Calls> = RefCell::default();
}

/// A phase that tells when it is validated.
#[derive(Clone, Serialize, Deserialize)]
pub struct Traced {
    pub valid: bool,
    pub output: Answers,
}

/// How the adapter answers.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Answers {
    Well,
    Failing,
    /// With what JSON cannot carry.
    Unkept,
    /// Having broken a deferred constraint.
    Breaking,
}

impl PhaseSpec for Traced {
    const NAME: &'static str = "traced";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;

    fn validate(&self) -> Result<(), Invalid> {
        CALLS.with_borrow(|calls| calls.record("validate"));
        if self.valid {
            Ok(())
        } else {
            Err(Invalid::new("not valid"))
        }
    }
}

pub const TRACED: Traced = Traced {
    valid: true,
    output: Answers::Well,
};

pub struct Traces;

impl Simulate<Traced> for Traces {
    fn simulate(&mut self, _: &Traced, (): (), effects: &mut Effects) -> Result<u64, Failure> {
        effects.insert("public.item", 1);
        Ok(1)
    }
}

impl Execute<Traced> for Traces {
    fn execute(&mut self, spec: &Traced, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let rows: &[&str] = match spec.output {
            Answers::Breaking => &["a", "b"],
            _ => &["a"],
        };
        tx.for_each_row(
            rows,
            |row| (*row).to_string(),
            |tx, row| Ok(tx.execute("INSERT INTO item VALUES ($1, 'draft')", &[row])?),
        )?;
        match spec.output {
            Answers::Failing => Err(Failure::new("the adapter says no")),
            Answers::Unkept => Ok(u64::MAX),
            Answers::Well | Answers::Breaking => Ok(1),
        }
    }
}

pub fn traced<'run, M: Mode, W: Perform<M, Traced>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    spec: &Traced,
) -> Result<u64, Error> {
    let sg1 = run.approval()?;
    run.phase(spec.clone())
        .perform(on, sg1, Start)
        .map(Receipt::into_output)
}

pub fn plan(target: &Target, spec: &Traced) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(target.clone())
        .simulator(Traces);
    dry.run(|run, on| traced(run, on, spec))
        .expect("a dry run")
        .plan
}

/// Writes what the observer hears into `calls`.
pub fn heard(calls: &Calls) -> impl FnMut(&Event<'_>) + Send + 'static {
    let calls = calls.clone();
    move |event: &Event<'_>| {
        calls.record(match event {
            Event::Begins {
                phase, place, of, ..
            } => format!("begins {phase} {place} {of:?}"),
            Event::Passed { step, .. } => format!("passed {step:?}"),
            Event::Rows { done, total, .. } => format!("row {done} of {total:?}"),
            Event::Ends { ending, .. } => format!("ends {ending:?}"),
            // Those of the run, and what is beside the steps.
            Event::RunBegins { .. }
            | Event::RunEnds { .. }
            | Event::ApprovalUsed { .. }
            | Event::Waits { .. }
            | Event::Stopping { .. } => return,
            other => format!("{other:?}"),
        });
    }
}

/// Performs `spec` live with these collaborators, and returns how it ended and who was called.
pub fn live(
    plan: Plan,
    spec: &Traced,
    switch: impl KillSwitch,
    authority: impl Authority,
    connector: impl Connector,
) -> (Result<u64, Error>, Vec<String>) {
    let calls = Calls::new();
    CALLS.set(calls.clone());
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(Recorder::new(switch, &calls))
        .authority(Recorder::new(authority, &calls))
        .connector(Recorder::new(connector, &calls))
        .adapter(Recorder::new(Traces, &calls))
        .observer(heard(&calls))
        .run(|run, on| traced(run, on, spec))
        .map(phasegate::runner::LiveReport::into_value);
    (answer, calls.so_far())
}

/// All steps of one live phase, and who is called between them. `Ends` is how it ended.
pub const ORDER: [&str; 17] = [
    "read switch",
    "attest SG_1 for traced",
    "begins traced 1 Some(1)",
    "read switch",
    "passed SwitchOn",
    "validate",
    "passed Valid",
    "passed AsPlanned",
    "connect",
    "passed Connected",
    "passed Opened",
    "execute traced",
    "row 1 of Some(1)",
    "passed Performed",
    "read switch",
    "passed SwitchStillOn",
    "passed Committed",
];

/// The calls of a phase that got as far as `last` and no further.
#[track_caller]
pub fn stopped_after(last: &str, ending: &str, calls: &[String]) {
    let until = 1 + ORDER.iter().rposition(|call| *call == last).expect(last);
    let mut expected: Vec<_> = ORDER[..until].iter().map(|&call| call.to_owned()).collect();
    expected.push(format!("ends {ending}"));
    assert_eq!(calls, expected);
}

/// A database in which the pipeline would pass.
pub fn ready() -> (Database, Plan) {
    let database = database();
    let plan = plan(&database.target, &TRACED);
    database.admit(&plan);
    (database, plan)
}

pub fn on() -> ScriptedSwitch {
    ScriptedSwitch::always_on()
}
