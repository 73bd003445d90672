//! Performs a rehearsal, phase by phase.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::job::{Done, Execution, Job, NotPerformed};
use super::live::LiveEngine;
use super::rehearsed::{FailedRehearsal, RehearsedPhase, moved};
use super::rehearsed_contents::TimesWritten;
use super::stop::StopHandle;
use super::timeouts::{Timeouts, milliseconds};
use super::watch::{Ended, Watched, watched};
use crate::database::{
    CloseError, Connector, Measured, PhaseTx, Publisher, RehearsalRequest, RehearsedRequest,
    Rehearsing, Session, Statements, read_off, rehearsed_name, switched_off_since,
};
use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};
use crate::observer::{Ending, Event, Observer, Step};
use crate::outcome::{
    BoxError, Failure, PhaseError, REHEARSAL, Refusal, RefusalReason, Rollback, RollbackCause,
};
use crate::plan::{Effects, PlanMeans, PlannedPhase, SentStatements, Target};

/// The state of a rehearsal: its one session, and the measurements so far.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct RehearsalEngine<'run> {
    pipeline: &'run str,
    connector: &'run mut dyn Connector,
    observer: &'run mut Observer<'run>,
    timeouts: Timeouts,
    allow_privileged_role: bool,
    stop: Option<StopHandle>,
    session: Held,
    target: Option<Target>,
    phases: Vec<RehearsedPhase>,
    times: TimesWritten,
    names: BTreeSet<String>,
    planned: Vec<PlannedPhase>,
    inputs: Vec<Arc<Vec<u8>>>,
    outputs: Vec<Vec<u8>>,
    failed: Vec<FailedRehearsal>,
}

/// The session of the rehearsal.
enum Held {
    /// No phase has been valid yet, so there is no session.
    NotYet,
    Open(Box<Rehearsing>),
    /// The session is lost, or in use by a phase that has not returned it.
    Lost {
        within: Option<String>,
    },
}

/// The switch of a rehearsal, which is always ON here. The database's own switch ends the rehearsal's session.
struct NeedsNone;

impl KillSwitch for NeedsNone {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        Ok(SwitchState::On)
    }
}

/// Why a phase failed, and the remaining state of the session.
struct Failed {
    cause: RollbackCause,
    /// What was measured after the phase was rolled back; `None` if the rollback failed.
    taken_back: Option<Measured>,
}

/// A phase that was rehearsed to its end.
struct Rehearsed {
    output: Vec<u8>,
    measured: Measured,
    sent: SentStatements,
}

/// The measurements of a rehearsal that was performed to its end.
pub(crate) struct Measurements {
    pub(crate) target: Target,
    /// The phases in the form of the plan.
    pub(crate) planned: Vec<PlannedPhase>,
    pub(crate) means: PlanMeans,
    /// Their inputs.
    pub(crate) inputs: Vec<Vec<u8>>,
    /// Their outputs.
    pub(crate) outputs: Vec<Vec<u8>>,
    pub(crate) phases: Vec<RehearsedPhase>,
    pub(crate) failed: Vec<FailedRehearsal>,
}

impl<'run> RehearsalEngine<'run> {
    /// The mode's name, for people.
    pub(crate) const MODE: &'static str = REHEARSAL;

    pub(crate) fn new(
        pipeline: &'run str,
        connector: &'run mut dyn Connector,
        observer: &'run mut Observer<'run>,
        timeouts: Timeouts,
        allow_privileged_role: bool,
        stop: Option<StopHandle>,
    ) -> Self {
        RehearsalEngine {
            pipeline,
            connector,
            observer,
            timeouts,
            allow_privileged_role,
            stop,
            session: Held::NotYet,
            target: None,
            phases: Vec::new(),
            times: TimesWritten::default(),
            names: BTreeSet::new(),
            planned: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// Rolls everything back, and returns the measurements.
    pub(crate) fn conclude(self) -> Result<Measurements, Refusal> {
        let performed = self.phases.last().map(|phase| phase.name.clone());
        let mut open = match self.session {
            Held::Lost { within: lost_in } => {
                let phase = performed.or_else(|| lost_in.clone()).unwrap_or_default();
                return Err(over(&phase, lost_in, None));
            }
            Held::Open(rehearsing) => Some(rehearsing),
            Held::NotYet => None,
        };
        let target = self.target.filter(|_| performed.is_some());
        match target.zip(open.as_mut()) {
            Some((target, rehearsing)) => Ok(Measurements {
                target,
                means: rehearsing.means(&self.planned).map_err(|error| {
                    let phase = performed.unwrap_or_default();
                    over(&phase, None, Some(error))
                })?,
                planned: self.planned,
                inputs: self.inputs.into_iter().map(Arc::unwrap_or_clone).collect(),
                outputs: self.outputs,
                phases: self.phases,
                failed: self.failed,
            }),
            None => Err(Refusal::of_run(RefusalReason::EmptyPlan)),
        }
    }

    /// Performs `job` by its live adapter, and measures its effects.
    pub(crate) fn perform(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<RehearsedPhase>, PhaseError> {
        let phase = job.phase;
        (self.observer)(&Event::Begins {
            phase,
            place: self.phases.len() + 1,
            of: None,
        });
        let done = self.rehearse(job, perform);
        let ending = match &done {
            Ok(_) => Ending::Performed,
            Err(PhaseError::Refused(_)) => Ending::Refused,
            Err(PhaseError::RolledBack(_) | PhaseError::InDoubt(_)) => Ending::RolledBack,
        };
        let cause = done.as_ref().err().map(PhaseError::cause);
        (self.observer)(&Event::Ends {
            phase,
            ending,
            cause,
        });
        done
    }

    fn rehearse(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<RehearsedPhase>, PhaseError> {
        let phase = job.phase;
        if let Some(why) = self.stop.as_ref().and_then(StopHandle::stopped) {
            return Err(Refusal::of_phase(phase, RefusalReason::Stopped { why }).into());
        }
        if let Held::Lost { within } = &self.session {
            return Err(over(phase, within.clone(), None).into());
        }
        if self.names.contains(phase) {
            return Err(Refusal::of_phase(phase, RefusalReason::DuplicatePhase).into());
        }
        let input = job.input.validate(self.timeouts)?;
        let (bytes, timeouts) = (input.bytes, input.timeouts);
        let presented = job.planned(&bytes, &Effects::new())?;
        self.passed(phase, Step::Valid);

        let mut rehearsing = self.begin(phase, &timeouts)?;
        self.passed(phase, Step::Opened);

        let now = Instant::now();
        // A duration beyond the clock's range counts as no limit.
        let far = now + Duration::from_hours(24 * 365);
        let bounds = Watched {
            backend_pid: rehearsing.backend_pid,
            backend_start: rehearsing.backend_start.clone(),
            phase_over: now.checked_add(timeouts.phase).unwrap_or(far),
            lease: None,
            stop: self.stop.clone(),
        };
        // A panic in the adapter drops the session, which rolls back.
        let observer = &mut *self.observer;
        let (ended, done) = watched(self.connector, &bounds, |watch| {
            let mut perform = |tx: &mut PhaseTx<'_>| perform(&bytes, tx);
            let idle = milliseconds(timeouts.idle);
            let done = perform_and_measure(&mut rehearsing, phase, observer, idle, &mut perform);
            (watch.ended(), done)
        });
        if let Some(ended) = ended {
            // The watch has ended the session, or is about to.
            let cause = match ended {
                Ended::Stopped(why) => RollbackCause::Stopped(why),
                Ended::TimeOver | Ended::LeaseOver => RollbackCause::TimeOver,
            };
            return Err(self.failed(phase, cause, Vec::new()).into());
        }
        match done {
            Ok(Rehearsed {
                output,
                measured: after,
                sent,
            }) => {
                let before = &rehearsing.so_far;
                let took = now.elapsed();
                let performed =
                    RehearsedPhase::between(phase, before, &after, took, &mut self.times);
                rehearsing.so_far = after;
                self.session = Held::Open(rehearsing);
                let planned = job.input.plan(&bytes, presented, &performed.effects)?;
                let planned = planned.sending(sent).writing(&performed.contents);
                self.planned.push(planned);
                self.inputs.push(bytes);
                self.outputs.push(output.clone());
                self.names.insert(phase.to_owned());
                self.phases.push(performed.clone());
                Ok(Done {
                    output,
                    evidence: performed,
                })
            }
            Err(failed) => Err(self.after_failure(phase, rehearsing, *failed).into()),
        }
    }

    /// Returns the state of the rehearsal after a phase that failed.
    fn after_failure(
        &mut self,
        phase: &str,
        mut rehearsing: Box<Rehearsing>,
        failed: Failed,
    ) -> Rollback {
        let Some(after) = failed.taken_back else {
            let off = off_since(self.connector, rehearsing.epoch);
            let cause = off.map_or(failed.cause, RollbackCause::SwitchOff);
            return self.failed(phase, cause, Vec::new());
        };
        let sequences = moved(&rehearsing.so_far, &after);
        rehearsing.so_far = after;
        self.session = Held::Open(rehearsing);
        self.failed(phase, failed.cause, sequences)
    }

    fn failed(&mut self, phase: &str, cause: RollbackCause, sequences: Vec<String>) -> Rollback {
        let rollback = Rollback::new(phase, Self::MODE, cause);
        self.failed.push(FailedRehearsal {
            name: phase.to_owned(),
            why: rollback.to_string(),
            sequences,
        });
        rollback
    }

    /// Begins the phase and returns its session. Until the session is put back, it counts as lost.
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
        let session = Session::connect(self.connector).map_err(|source| {
            Refusal::of_phase(phase, RefusalReason::NotConnected(source.into()))
        })?;
        let request = RehearsalRequest {
            application_name: self.application_name(phase),
            refuse_privileged_role: !self.allow_privileged_role,
        };
        let rehearsing = Rehearsing::open(session, &request).map_err(|refused| {
            let (session, error) = *refused;
            Refusal::of_phase(phase, LiveEngine::why_not_opened(None, session, error))
        })?;
        self.target = Some(rehearsing.target.clone());
        self.passed(phase, Step::Connected);
        Ok(rehearsing)
    }

    fn application_name(&self, phase: &str) -> String {
        rehearsed_name(self.pipeline, phase)
    }

    fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}

fn over(phase: &str, lost_in: Option<String>, said: Option<BoxError>) -> Refusal {
    Refusal::of_phase(phase, RefusalReason::RehearsalOver { lost_in, said })
}

/// Returns the database's switch if an operator has turned it off since `epoch`; `None` also if the server cannot be
/// asked.
fn off_since(connector: &mut dyn Connector, epoch: i64) -> Option<SwitchOff> {
    let mut session = Session::connect(connector).ok()?;
    let client = session.client();
    switched_off_since(client, epoch).then(|| read_off(client))
}

/// Calls the adapter, and ends the phase or rolls it back.
fn perform_and_measure(
    rehearsing: &mut Rehearsing,
    phase: &str,
    observer: &mut Observer<'_>,
    idle_timeout: u64,
    perform: &mut dyn FnMut(&mut PhaseTx<'_>) -> Result<Vec<u8>, NotPerformed>,
) -> Result<Rehearsed, Box<Failed>> {
    let statements = Statements::Recorded(SentStatements::default());
    let client = rehearsing.client();
    let mut tx = PhaseTx::new(
        client,
        phase,
        &NeedsNone,
        observer,
        statements,
        Publisher::silent(),
    );
    let answer = perform(&mut tx);
    let (mut traces, sent) = tx.into_traces();
    let lost = traces.lost;
    let dropped_rows = traces.dropped_rows();
    let output = match answer {
        Err(NotPerformed::Failed(failure)) => Err(RollbackCause::Failed(failure)),
        _ if lost => Err(RollbackCause::ConnectionLost),
        _ if dropped_rows.is_some() => Err(RollbackCause::Swallowed {
            statement: dropped_rows,
        }),
        _ if traces.open_savepoints > 0 => Err(RollbackCause::SavepointLeftOpen),
        Err(NotPerformed::Output(error)) => Err(RollbackCause::Output(error)),
        Ok(output) => Ok(output),
    };
    let cause = match output {
        Ok(output) => {
            observer(&Event::Passed {
                phase,
                step: Step::Performed,
            });
            match rehearsing.end(idle_timeout) {
                Ok(measured) => {
                    return Ok(Rehearsed {
                        output,
                        measured,
                        sent,
                    });
                }
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
