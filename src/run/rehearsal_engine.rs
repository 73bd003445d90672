//! A rehearsal, phase by phase.

use std::mem;
use std::time::{Duration, Instant};

use super::decoded::decoded;
use super::live_engine::LiveEngine;
use super::rehearsed::{FailedRehearsal, Rehearsed, RehearsedPhase, moved};
use super::stop::StopHandle;
use super::timeouts::{Timeouts, milliseconds};
use super::watch::{Ended, Watched, watched};
use crate::canonical;
use crate::gate::{Gate, Unapproved};
use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};
use crate::mode::{Mode, Rehearsal};
use crate::observer::{Ending, Event, Observer, Step};
use crate::outcome::{Error, Failure, Foreign, Refusal, Rollback, RollbackCause, Stop};
use crate::phase::{PhaseSpec, full_name};
use crate::plan::{Effects, Heading, MadeBy, Plan, PlannedPhase, Target};
use crate::postgres::{
    CloseError, Connector, Measured, PhaseTx, RehearsalRequest, RehearsedRequest, Rehearsing,
    Session, read_off,
};
use crate::sealed::{self, Done, Given};

/// What a rehearsal holds: its one session, and what was measured so far.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct RehearsalEngine<'run> {
    pipeline: &'run str,
    connector: &'run mut dyn Connector,
    observer: &'run mut Observer<'run>,
    timeouts: Timeouts,
    despite_powers: bool,
    stop: Option<StopHandle>,
    session: Held,
    target: Option<Target>,
    phases: Vec<RehearsedPhase>,
    planned: Vec<PlannedPhase>,
    failed: Vec<FailedRehearsal>,
}

/// The session of the rehearsal.
enum Held {
    /// Not before a phase is valid.
    NotYet,
    Open(Box<Rehearsing>),
    /// It is lost, or with a phase that has not come back.
    Lost {
        within: Option<String>,
    },
}

/// A rehearsal needs no switch, and is not stopped by one from here: the database's ends its session.
struct NeedsNone;

impl KillSwitch for NeedsNone {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        Ok(SwitchState::On)
    }
}

/// Why a phase failed, and what is left of the session.
struct Failed {
    cause: RollbackCause,
    /// What was measured once it was taken back; nothing if that cannot be done any more.
    taken_back: Option<Measured>,
}

impl<'run> RehearsalEngine<'run> {
    pub(super) fn new(
        pipeline: &'run str,
        connector: &'run mut dyn Connector,
        observer: &'run mut Observer<'run>,
        timeouts: Timeouts,
        despite_powers: bool,
        stop: Option<StopHandle>,
    ) -> Self {
        RehearsalEngine {
            pipeline,
            connector,
            observer,
            timeouts,
            despite_powers,
            stop,
            session: Held::NotYet,
            target: None,
            phases: Vec::new(),
            planned: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Rolls everything back. The run's answer, once the pipeline has given its own.
    pub(super) fn conclude<V, E: From<Error>>(
        self,
        heading: Heading,
        answer: Result<V, E>,
    ) -> Result<Rehearsed<V>, E> {
        let lost = match self.session {
            Held::Lost { within } => Some(within),
            Held::NotYet | Held::Open(_) => None,
        };
        let value = answer?;
        let performed = self.phases.last().map(|phase| phase.name.clone());
        if let Some(lost_in) = lost {
            let phase = performed.or_else(|| lost_in.clone()).unwrap_or_default();
            let source = None;
            return Err(Error::from(Refusal::RehearsalOver {
                phase,
                lost_in,
                source,
            })
            .into());
        }
        let Some(target) = self.target.filter(|_| performed.is_some()) else {
            return Err(Error::from(Refusal::EmptyPlan).into());
        };
        let plan = Plan::made(
            MadeBy::Measurement,
            self.pipeline,
            target,
            heading,
            self.planned,
        )
        .map_err(|flaw| Error::from(Refusal::PlanFlawed { phase: None, flaw }))?;
        Ok(Rehearsed {
            value,
            phases: self.phases,
            failed: self.failed,
            plan,
        })
    }

    fn rehearse<S: PhaseSpec, W: sealed::Perform<Rehearsal, S>>(
        &mut self,
        phase: &str,
        worker: &mut W,
        spec: &S,
        given: &Given<'_, S>,
    ) -> Result<Done<S::Output, RehearsedPhase>, Stop> {
        if let Some(why) = self.stop.as_ref().and_then(StopHandle::stopped) {
            let phase = Some(phase.to_owned());
            return Err(Refusal::Stopped { phase, why }.into());
        }
        if let Held::Lost { within } = &self.session {
            return Err(over(phase, within.clone(), None).into());
        }
        if self.phases.iter().any(|performed| performed.name == phase) {
            let phase = phase.to_owned();
            return Err(Refusal::DuplicatePhase { phase }.into());
        }
        let (bytes, spec) = decoded(phase, spec)?;
        // What it says of itself is asked of a value that the adapter never sees.
        let read_anew = || {
            canonical::decode::<S>(&bytes).map_err(|source| Refusal::NotCanonical {
                phase: phase.to_owned(),
                source,
            })
        };
        let presented = PlannedPhase::presented::<S>(phase, given.after.clone(), &bytes);
        let presented = presented.with(&read_anew()?, &Effects::new());
        if let Some(flaw) = presented.flaw() {
            let phase = Some(phase.to_owned());
            return Err(Refusal::PlanFlawed { phase, flaw }.into());
        }
        self.passed(phase, Step::Valid);

        let timeouts = spec.timeouts(self.timeouts);
        let mut rehearsing = self.begin(phase, &timeouts)?;
        self.passed(phase, Step::Opened);

        let now = Instant::now();
        // Later than any clock can say is never.
        let far = now + Duration::from_hours(24 * 365);
        let bounds = Watched {
            backend_pid: rehearsing.backend_pid,
            backend_start: rehearsing.backend_start.clone(),
            phase_over: now.checked_add(timeouts.phase).unwrap_or(far),
            lease: None,
            stop: self.stop.clone(),
        };
        // A panic in there drops the session, which rolls back.
        let observer = &mut *self.observer;
        let (ended, done) = watched(self.connector, &bounds, |watch| {
            let perform = |tx: &mut PhaseTx<'_>| worker.perform(&spec, given.prior, tx);
            let idle = milliseconds(timeouts.idle);
            let done = perform_and_measure(&mut rehearsing, phase, observer, idle, perform);
            (watch.ended(), done)
        });
        if let Some(ended) = ended {
            // Its session is ended, or about to be.
            let cause = match ended {
                Ended::Stopped(why) => RollbackCause::Stopped(why),
                Ended::TimeOver | Ended::LeaseOver => RollbackCause::TimeOver,
            };
            return Err(self.failed(phase, cause, Vec::new()).into());
        }
        match done {
            Ok((output, bytes, after)) => {
                let performed = RehearsedPhase::between(phase, &rehearsing.so_far, &after);
                rehearsing.so_far = after;
                self.session = Held::Open(rehearsing);
                let planned = presented.with(&read_anew()?, &performed.effects);
                self.planned.push(planned);
                self.phases.push(performed.clone());
                Ok(Done {
                    phase: phase.to_owned(),
                    output,
                    bytes,
                    evidence: performed,
                })
            }
            Err(failed) => Err(self.after_failure(phase, rehearsing, *failed).into()),
        }
    }

    /// What is left of the rehearsal after a phase that failed.
    fn after_failure(
        &mut self,
        phase: &str,
        mut rehearsing: Box<Rehearsing>,
        failed: Failed,
    ) -> Rollback {
        let Some(after) = failed.taken_back else {
            let off = switched_off_since(self.connector, rehearsing.epoch);
            let cause = off.map_or(failed.cause, RollbackCause::SwitchOff);
            return self.failed(phase, cause, Vec::new());
        };
        let sequences = moved(&rehearsing.so_far, &after);
        rehearsing.so_far = after;
        self.session = Held::Open(rehearsing);
        self.failed(phase, failed.cause, sequences)
    }

    fn failed(&mut self, phase: &str, cause: RollbackCause, sequences: Vec<String>) -> Rollback {
        let rollback = Rollback::new(phase, Rehearsal::NAME, cause);
        self.failed.push(FailedRehearsal {
            name: phase.to_owned(),
            why: rollback.to_string(),
            sequences,
        });
        rollback
    }

    /// The session, in which the phase has begun. Until it is put back, it counts as lost.
    fn begin(&mut self, phase: &str, timeouts: &Timeouts) -> Result<Box<Rehearsing>, Refusal> {
        let lost = Held::Lost {
            within: Some(phase.to_owned()),
        };
        let mut rehearsing = match mem::replace(&mut self.session, lost) {
            Held::Open(rehearsing) => rehearsing,
            Held::NotYet | Held::Lost { .. } => match self.open(phase) {
                Ok(rehearsing) => Box::new(rehearsing),
                Err(refusal) => {
                    self.session = Held::NotYet;
                    return Err(refusal);
                }
            },
        };
        let begun = rehearsing.begin(&RehearsedRequest {
            application_name: self.application_name(phase),
            lock_timeout: milliseconds(timeouts.lock),
            statement_timeout: milliseconds(timeouts.statement),
            idle_timeout: milliseconds(timeouts.idle),
        });
        match begun {
            Ok(()) => Ok(rehearsing),
            Err(source) => {
                self.session = Held::Lost { within: None };
                Err(over(phase, None, Some(source)))
            }
        }
    }

    fn open(&mut self, phase: &str) -> Result<Rehearsing, Refusal> {
        let session = Session::connect(self.connector).map_err(|source| Refusal::NotConnected {
            phase: phase.to_owned(),
            source: source.into(),
        })?;
        let request = RehearsalRequest {
            application_name: self.application_name(phase),
            refuse_powers: !self.despite_powers,
        };
        let rehearsing = Rehearsing::open(session, &request).map_err(|refused| {
            let (session, error) = *refused;
            LiveEngine::not_opened(None, phase, session, error)
        })?;
        self.target = Some(rehearsing.target.clone());
        self.passed(phase, Step::Connected);
        Ok(rehearsing)
    }

    fn application_name(&self, phase: &str) -> String {
        format!("phasegate rehearsal {}/{phase}", self.pipeline)
    }

    fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}

fn over(phase: &str, lost_in: Option<String>, source: Option<Foreign>) -> Refusal {
    Refusal::RehearsalOver {
        phase: phase.to_owned(),
        lost_in,
        source,
    }
}

/// The database's switch, if an operator has turned it off since. `None` too where the server cannot be asked.
fn switched_off_since(connector: &mut dyn Connector, epoch: i64) -> Option<SwitchOff> {
    let mut session = Session::connect(connector).ok()?;
    let client = session.client();
    let answer = client.query_one("SELECT phasegate.switched_off_since($1)", &[&epoch]);
    let off = answer.and_then(|row| row.try_get(0)).unwrap_or(false);
    off.then(|| read_off(client))
}

/// The adapter, and the end of the phase or its taking back.
fn perform_and_measure<O, P>(
    rehearsing: &mut Rehearsing,
    phase: &str,
    observer: &mut Observer<'_>,
    idle_timeout: u64,
    perform: P,
) -> Result<(O, Vec<u8>, Measured), Box<Failed>>
where
    O: serde::Serialize + serde::de::DeserializeOwned,
    P: FnOnce(&mut PhaseTx<'_>) -> Result<O, Failure>,
{
    let mut tx = PhaseTx::new(rehearsing.client(), phase, &NeedsNone, observer);
    let answer = perform(&mut tx);
    let mut traces = tx.into_traces();
    let lost = traces.lost;
    let dropped_rows = traces.dropped_rows();
    let output = answer
        .map_err(RollbackCause::Failed)
        .and_then(|output| match () {
            () if lost => Err(RollbackCause::ConnectionLost),
            () if dropped_rows.is_some() => Err(RollbackCause::Swallowed {
                statement: dropped_rows,
            }),
            () if traces.open_savepoints > 0 => Err(RollbackCause::SavepointLeftOpen),
            () => canonical::round_trip(&output).map_err(RollbackCause::Output),
        });
    let cause = match output {
        Ok((bytes, output)) => {
            observer(&Event::Passed {
                phase,
                step: Step::Performed,
            });
            match rehearsing.end(idle_timeout) {
                Ok(measured) => return Ok((output, bytes, measured)),
                Err(CloseError::AlreadyLost | CloseError::NoAnswer(_)) => {
                    RollbackCause::ConnectionLost
                }
                Err(CloseError::StatementHadFailed) => RollbackCause::Swallowed {
                    statement: traces.failed_statement,
                },
                Err(CloseError::Refused(error)) => {
                    RollbackCause::CommitRefused(Failure::new(error))
                }
            }
        }
        Err(cause) => cause,
    };
    let taken_back = if lost {
        None
    } else {
        rehearsing.take_back().ok()
    };
    Err(Box::new(Failed { cause, taken_back }))
}

impl sealed::Mode for Rehearsal {
    type Scene<'t> = PhaseTx<'t>;
    type Engine<'run> = RehearsalEngine<'run>;
    type Evidence = RehearsedPhase;

    fn approve<'run, G: Gate>(
        _: &mut Self::Engine<'run>,
    ) -> Result<<Self as Mode>::Approval<'run, G>, Refusal> {
        Ok(Unapproved::new())
    }

    fn perform<S: PhaseSpec, W: sealed::Perform<Self, S>>(
        engine: &mut RehearsalEngine<'_>,
        worker: &mut W,
        spec: &S,
        given: Given<'_, S>,
    ) -> Result<Done<S::Output, RehearsedPhase>, Stop> {
        let phase = full_name(spec);
        (engine.observer)(&Event::Begins {
            phase: &phase,
            place: engine.phases.len() + 1,
            of: None,
        });
        let done = engine.rehearse(&phase, worker, spec, &given);
        let ending = match &done {
            Ok(_) => Ending::Performed,
            Err(Stop::Refused(_)) => Ending::Refused,
            Err(Stop::RolledBack(_) | Stop::InDoubt(_)) => Ending::RolledBack,
        };
        (engine.observer)(&Event::Ends {
            phase: &phase,
            ending,
        });
        done
    }
}
