//! Performs a live phase, step by step. The order is part of the contract; see [`Step`].

use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use super::close::{Inside, perform_and_close};
use super::job::{Done, Execution, Job, ValidInput};
use super::live::LiveEngine;
use super::stop::{StopHandle, Stoppable};
use super::verified_approval::VerifiedApproval;
use super::watch::{Ended, Lease, Watched, watched};
use crate::base::secret::{Secret, jitter, nonce};
use crate::database::{
    Connector, LeaseState, Opened, PhaseTx, Publisher, Session, lease_state,
    read_off_once_committed,
};
use crate::kill_switch::WhichSwitch;
use crate::observer::{Event, Step, Waiting};
use crate::outcome::{
    Attempted, Committed, PhaseError, Refusal, RefusalReason, Rollback, RollbackCause,
};

/// The longest first pause before another try; each further pause may be twice as long.
const PAUSE: Duration = Duration::from_millis(50);

impl LiveEngine<'_> {
    pub(super) fn execute(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<Committed>, PhaseError> {
        let phase = job.phase;
        self.refuse_in_doubt(phase)?;

        self.refuse_unless_on(Some(phase))?;
        self.passed(phase, Step::SwitchOn);

        let input = job.input.validate(self.options.timeouts)?;
        self.passed(phase, Step::Valid);

        self.refuse_unplanned(&job.presented(&input.bytes))?;
        self.refuse_expired(phase)?;
        let approvals = self.approvals_of(phase, job.gates)?;
        self.passed(phase, Step::AsPlanned);

        let mut attempt = 1;
        loop {
            let done = self.attempt(phase, &input, &approvals, perform);
            let Err(PhaseError::RolledBack(rollback)) = done else {
                return done;
            };
            let again = transient(&rollback).filter(|_| attempt <= self.options.retries);
            let Some(sqlstate) = again.filter(|_| self.refuse_unless_on(Some(phase)).is_ok())
            else {
                return Err(rollback.into());
            };
            attempt += 1;
            (self.observer)(&Event::TriesAgain {
                phase,
                attempt,
                sqlstate: &sqlstate,
            });
            let pause = jitter(PAUSE * 2_u32.saturating_pow(attempt - 2));
            (self.observer)(&Event::Waits {
                phase,
                why: Waiting::Retry { pause },
            });
            match &self.options.stop {
                Some(stop) => stop.pause(pause),
                None => thread::sleep(pause),
            }
            if let Some(why) = self.stopped() {
                return Err(caused_by(Some(RollbackCause::Stopped(why)), rollback, phase).into());
            }
        }
    }

    /// Returns what identifies an attempt at the next phase.
    fn attempted(&self, nonce: &str, opened: &Opened) -> Attempted {
        Attempted {
            plan: self.plan.digest(),
            target: opened.target(),
            place: u32::try_from(self.performed + 1).unwrap_or(u32::MAX),
            nonce: nonce.to_owned(),
            xid: opened.xid.clone(),
            timeline: opened.timeline.clone(),
            backend_pid: opened.backend_pid,
            backend_start: opened.backend_start.clone(),
            opened_at: opened.opened_at.clone(),
        }
    }

    /// Tells the observer which approvals the phase uses.
    fn tell_approvals(&mut self, phase: &str, approvals: &[Rc<VerifiedApproval>]) {
        for approval in approvals {
            let attestation = approval.attestation();
            (self.observer)(&Event::ApprovalUsed {
                phase,
                gate: &attestation.statement().gate,
                by: attestation.approver(),
                expires: attestation.statement().expires,
            });
        }
    }

    /// Performs the phase in one session and one transaction.
    fn attempt(
        &mut self,
        phase: &str,
        input: &ValidInput,
        approvals: &[Rc<VerifiedApproval>],
        perform: &mut Execution<'_>,
    ) -> Result<Done<Committed>, PhaseError> {
        if let Some(stored) = self.read_ahead() {
            self.passed(phase, Step::Connected);
            return self.committed_before(phase, &stored);
        }
        let timeouts = input.timeouts;
        let not_opened = |source| Refusal::of_phase(phase, RefusalReason::NotOpened(source));
        let secret = Secret::new().map_err(|error| not_opened(error.into()))?;
        let nonce = nonce().map_err(|error| not_opened(error.into()))?;
        let request = self.request(phase, &nonce, secret.lock(), approvals, &timeouts);
        let (session, opened) = self.open(phase, &request)?;
        self.passed(phase, Step::Connected);
        if let Some(stored) = &opened.committed {
            self.ahead = opened.committed_next.into();
            self.keep_unopened(session);
            return self.committed_before(phase, stored);
        }
        self.passed(phase, Step::Opened);
        self.tell_approvals(phase, approvals);

        let now = Instant::now();
        let lease = Lease {
            epoch: opened.epoch,
            over: now + Duration::from_millis(opened.lease_left),
        };
        let over = Watched {
            backend_pid: opened.backend_pid,
            backend_start: opened.backend_start.clone(),
            phase_over: now.checked_add(timeouts.phase).unwrap_or(lease.over),
            lease: Some(lease),
            stop: self.options.stop.clone(),
        };
        let attempted = self.attempted(&nonce, &opened);
        let planned = &self.plan.phases()[self.performed];
        let (place, of) = (self.performed + 1, self.plan.phases().len());
        let publisher = Publisher::of_phase(self.plan.digest(), place, of);
        let LiveEngine {
            connector,
            observer,
            kill_switch,
            in_doubt,
            options,
            ..
        } = self;
        let connector = &mut **connector;
        let kill_switch = &Stoppable {
            kill_switch: *kill_switch,
            stop: options.stop.as_ref(),
        };
        let mut lost = false;
        let (ended, closed) = watched(connector, &over, |watch| {
            let closed = perform_and_close(
                session,
                phase,
                watch,
                &secret,
                Inside {
                    perform: &mut |tx: &mut PhaseTx<'_>| perform(&input.bytes, tx),
                    planned,
                    kill_switch,
                    observer: &mut **observer,
                    in_doubt,
                    attempted: &attempted,
                    publisher,
                    lost: &mut lost,
                },
            );
            (watch.ended(), closed)
        });
        match closed {
            Ok((output, closed, session)) => {
                *in_doubt = None;
                self.keep(session);
                // Counted before any observer is called: a panic in an observer does not undo the commit.
                self.performed += 1;
                self.passed(phase, Step::Committed);
                Ok(Done {
                    output,
                    evidence: Committed::answered(&attempted, closed.hash, &closed.warnings),
                })
            }
            Err(PhaseError::InDoubt(doubt)) if timeouts.resolve.is_zero() => Err(doubt.into()),
            Err(PhaseError::InDoubt(doubt)) => match self.resolve(doubt, timeouts.resolve) {
                // If the session ends while the adapter is busy without the database, that is noticed only when the
                // close is sent.
                Err(PhaseError::RolledBack(rollback)) => {
                    let stopped = why_stopped(self.connector, ended, lease);
                    Err(caused_by(stopped, rollback, phase).into())
                }
                resolved => resolved,
            },
            Err(PhaseError::RolledBack(rollback)) => {
                *in_doubt = None;
                let stopped = match by_the_program(options.stop.as_ref(), &rollback, lost) {
                    None if lost || ended.is_some() => why_stopped(connector, ended, lease),
                    None if is_off_in_the_database(&rollback) => off_in_the_database(connector),
                    stopped => stopped,
                };
                Err(caused_by(stopped, rollback, phase).into())
            }
            Err(refused) => Err(refused),
        }
    }
}

/// Returns whether a phase found its switch OFF, or lost its session, because the program stopped the run.
fn by_the_program(
    stop: Option<&StopHandle>,
    rollback: &Rollback,
    lost: bool,
) -> Option<RollbackCause> {
    let why = stop.and_then(StopHandle::stopped)?;
    let is_off = matches!(
        rollback.cause(),
        RollbackCause::SwitchOff(off) if off.which() == WhichSwitch::OfTheRun
    );
    (is_off || lost).then_some(RollbackCause::Stopped(why))
}

fn is_off_in_the_database(rollback: &Rollback) -> bool {
    matches!(
        rollback.cause(),
        RollbackCause::SwitchOff(off) if off.which() == WhichSwitch::OfTheDatabase
    )
}

/// Returns who turned the switch off, and the reason: read in another session, since the phase's own has ended.
fn off_in_the_database(connector: &mut dyn Connector) -> Option<RollbackCause> {
    let mut session = Session::connect(connector).ok()?;
    Some(RollbackCause::SwitchOff(read_off_once_committed(
        session.client(),
    )))
}

fn caused_by(stopped: Option<RollbackCause>, rollback: Rollback, phase: &str) -> Rollback {
    stopped.map_or(rollback, |cause| {
        Rollback::new(phase, LiveEngine::MODE, cause)
    })
}

/// Returns why a phase lost its session, if it was ended on purpose.
fn why_stopped(
    connector: &mut dyn Connector,
    ended: Option<Ended>,
    lease: Lease,
) -> Option<RollbackCause> {
    match ended {
        Some(Ended::TimeOver) => return Some(RollbackCause::TimeOver),
        Some(Ended::LeaseOver) => return Some(RollbackCause::LeaseOver),
        Some(Ended::Stopped(why)) => return Some(RollbackCause::Stopped(why)),
        None => {}
    }
    let mut session = Session::connect(connector).ok()?;
    // OFF counts before its row is committed.
    match lease_state(session.client(), lease.epoch)? {
        LeaseState::Over => Some(RollbackCause::LeaseOver),
        LeaseState::Off => Some(RollbackCause::SwitchOff(read_off_once_committed(
            session.client(),
        ))),
        LeaseState::On => None,
    }
}

/// Returns the SQLSTATE if the failure is transient: a serialization failure, a deadlock, or a lock timeout.
fn transient(rollback: &Rollback) -> Option<String> {
    let code = match rollback.cause() {
        RollbackCause::Failed(failure) | RollbackCause::CommitRefused(failure) => {
            failure.sqlstate()?.code()
        }
        _ => return None,
    };
    matches!(code, "40001" | "40P01" | "55P03").then(|| code.to_owned())
}
