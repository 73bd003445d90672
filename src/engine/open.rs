//! Opens a live phase: the connection, the opening message, and which check failed.

use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use ::postgres::NoTls;
use ::postgres::error::DbError;

use super::job::Done;
use super::live::LiveEngine;
use super::timeouts::{Timeouts, milliseconds};
use super::verified_approval::VerifiedApproval;
use crate::base::digest::Digest;
use crate::base::sqlstate;
use crate::database::{
    OpenError, OpenRequest, Opened, Session, StoredEntry, blocking_run, opened_name, read_off,
};
use crate::observer::Step;
use crate::outcome::{
    ApprovalRefusal, CommitEvidence, Committed, Failure, PhaseError, Refusal, RefusalReason,
};
use crate::plan::Plan;

/// The interval at which the program's stop is checked.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

impl LiveEngine<'_> {
    /// Returns the parameters of the opening message of the next phase.
    pub(super) fn request<'a>(
        &self,
        phase: &'a str,
        nonce: &'a str,
        lock: Digest,
        approvals: &'a [Rc<VerifiedApproval>],
        timeouts: &Timeouts,
    ) -> OpenRequest<'a> {
        let nonce_of =
            |granted: &'a Rc<VerifiedApproval>| &*granted.attestation().statement().nonce;
        OpenRequest {
            plan: self.plan.digest(),
            place: self.performed + 1,
            phase,
            input: self.plan.phases()[self.performed].input(),
            nonce,
            lock,
            approvals: approvals.iter().map(nonce_of).collect(),
            application_name: opened_name(
                self.plan.digest(),
                self.performed + 1,
                self.plan.phases().len(),
                self.plan.pipeline(),
                phase,
            ),
            refuse_privileged_role: !self.role_is_fit,
            program: self.options.program.clone(),
            lock_timeout: milliseconds(timeouts.lock),
            statement_timeout: milliseconds(timeouts.statement),
            idle_timeout: milliseconds(timeouts.idle),
            phase_timeout: milliseconds(timeouts.phase),
        }
    }

    /// Opens the phase, in the session of the phase before if that was kept, else in a new one.
    pub(super) fn open(
        &mut self,
        phase: &str,
        request: &OpenRequest<'_>,
    ) -> Result<(Session, Opened), Refusal> {
        let refused = |reason| Refusal::of_phase(phase, reason);
        let kept = self.kept.take();
        let mut opening = kept.map(|session| self.open_in(session, request));
        let stopped = self.stopped().is_some();
        if opening.as_ref().is_none_or(
            |(_, answer)| matches!(answer, Err(error) if !stopped && error.may_be_of_the_session()),
        ) {
            // The old session is rolled back before the new one waits for its locks.
            drop(opening.take());
            let session = Session::connect(self.connector)
                .map_err(|source| refused(RefusalReason::NotConnected(source.into())))?;
            opening = Some(self.open_in(session, request));
        }
        let (session, answer) = opening.expect("opened in a new session where no other was kept");
        if let Some(why) = self.stopped() {
            // The session may still be cancelled, so it is dropped, which rolls it back.
            return Err(refused(RefusalReason::Stopped { why }));
        }
        let opened = match answer {
            Ok(opened) => opened,
            Err(error) => {
                let reason = Self::why_not_opened(Some(self.plan), session, error);
                if comes_after_connecting(&reason) {
                    self.passed(phase, Step::Connected);
                }
                return Err(refused(reason));
            }
        };
        let found = opened.target();
        if found != *self.plan.target() {
            return Err(Refusal::of_phase(
                phase,
                RefusalReason::AnotherTarget {
                    planned: Box::new(self.plan.target().clone()),
                    found: Box::new(found),
                },
            ));
        }
        self.role_is_fit = true;
        Ok((session, opened))
    }

    /// Opens the phase in `session`. The opening may wait for another run of the plan; it is cancelled when the program
    /// stops the run.
    fn open_in(
        &self,
        mut session: Session,
        request: &OpenRequest<'_>,
    ) -> (Session, Result<Opened, OpenError>) {
        let Some(stop) = &self.options.stop else {
            let answer = session.open(request);
            return (session, answer);
        };
        let cancel = session.client().cancel_token();
        let (opened, is_opened) = mpsc::channel::<()>();
        let answer = thread::scope(|scope| {
            let cancels = move || {
                while is_opened.recv_timeout(BETWEEN_LOOKS) == Err(RecvTimeoutError::Timeout) {
                    if stop.stopped().is_some() {
                        // The server accepts a cancel request without TLS too. If the request is lost, the lock
                        // timeout bounds the wait.
                        let _ = cancel.cancel_query(NoTls);
                    }
                }
            };
            let _ = thread::Builder::new().spawn_scoped(scope, cancels);
            let answer = session.open(request);
            drop(opened);
            answer
        });
        (session, answer)
    }

    /// Returns a phase that is committed already, with its output from the journal.
    pub(super) fn committed_before(
        &mut self,
        phase: &str,
        stored: &StoredEntry,
    ) -> Result<Done<Committed>, PhaseError> {
        let entry = stored.read().map_err(|error| {
            Refusal::of_phase(phase, RefusalReason::OutputUnreadable(error.into()))
        })?;
        self.performed += 1;
        self.before += 1;
        self.before_at = Some(entry.finished_at.clone());
        self.journalled = self.journalled.max(self.performed);
        Ok(Done {
            output: entry.output.as_bytes().to_vec(),
            evidence: entry.committed(stored.hash, CommitEvidence::Before),
        })
    }

    /// Keeps a session in which nothing was opened, since the phase is committed already.
    pub(super) fn keep_unopened(&mut self, mut session: Session) {
        if session.roll_back().is_ok() {
            self.keep(session);
        }
    }

    /// Returns what the journal has of the next phase, if it was read with an earlier one: a row of the journal never
    /// changes, and what the server checks before it returns one holds for all phases of the plan.
    pub(super) fn read_ahead(&mut self) -> Option<StoredEntry> {
        let stored = self.ahead.pop_front()?;
        let entry = stored.read().ok()?;
        let is_it = entry.plan == self.plan.digest()
            && usize::try_from(entry.place) == Ok(self.performed + 1);
        is_it.then_some(stored)
    }

    /// Returns which check of the server failed. What the error itself does not contain is queried in the session. A
    /// rehearsal has no plan, and is not refused for one.
    pub(super) fn why_not_opened(
        plan: Option<&Plan>,
        mut session: Session,
        error: OpenError,
    ) -> RefusalReason {
        let error = match error {
            OpenError::NotNew { age } => return RefusalReason::SessionNotNew { age },
            OpenError::AnotherBackend => {
                let source = "the session reached another process of the server".into();
                return RefusalReason::NotOpened(source);
            }
            OpenError::NoAnswer(source) => return RefusalReason::NotOpened(source),
            OpenError::Refused(error) => error,
        };
        let said = error.as_db_error();
        let code = said
            .map(|said| said.code().code().to_owned())
            .unwrap_or_default();
        let fact = said
            .and_then(DbError::datatype)
            .unwrap_or_default()
            .to_owned();
        let found = session
            .roll_back()
            .map_err(Into::into)
            .and_then(|()| session.identify());
        let Ok(found) = found else {
            let source = error.into();
            return RefusalReason::NotOpened(source);
        };
        if code == "25001" || (code == sqlstate::SESSION_UNFIT && fact == "in_transaction") {
            return RefusalReason::SessionInTransaction;
        }
        if let Some(acting) = found.acting_role {
            return RefusalReason::ActingRole {
                role: found.target.role().to_owned(),
                acting,
            };
        }
        if let Some(planned) = plan.map(Plan::target)
            && found.target != *planned
        {
            return RefusalReason::AnotherTarget {
                planned: Box::new(planned.clone()),
                found: Box::new(found.target),
            };
        }
        if found.is_standby {
            return RefusalReason::Standby;
        }
        match (code.as_str(), plan) {
            ("3F000" | "42883", _) => RefusalReason::NotInstalled {
                found: Box::new(found.target),
            },
            ("42501", _) => RefusalReason::NotARunner {
                role: found.target.role().to_owned(),
            },
            ("55P03", Some(plan)) => {
                let holder = blocking_run(session.client(), plan.digest()).map(Box::new);
                RefusalReason::Held { holder }
            }
            (sqlstate::SWITCH_OFF, _) => RefusalReason::SwitchOff {
                switch: Box::new(read_off(session.client())),
            },
            (sqlstate::LEASE_OVER, _) => RefusalReason::LeaseOver,
            (sqlstate::LEASE_ELSEWHERE, _) => RefusalReason::LeaseElsewhere {
                said: Failure::new(error),
            },
            (sqlstate::NOT_ADMITTED, Some(plan)) => RefusalReason::NotAdmitted {
                plan: plan.digest(),
                found: Box::new(found.target),
            },
            (sqlstate::NOT_APPROVED, _) => RefusalReason::Approval {
                gate: fact,
                reason: ApprovalRefusal::NotAdmitted,
            },
            (sqlstate::PLAN_EXPIRED, Some(plan)) => RefusalReason::PlanExpired {
                valid_until: plan.valid_until().unwrap_or(SystemTime::UNIX_EPOCH),
            },
            (sqlstate::MEANS_CHANGED, _) => RefusalReason::MeansChanged {
                objects: serde_json::from_str(&fact).unwrap_or_default(),
            },
            (sqlstate::REJECTED, _) => {
                let (by, comment) = serde_json::from_str(&fact).unwrap_or_default();
                RefusalReason::Rejected { by, comment }
            }
            (sqlstate::ANOTHER_PROTOCOL, _) => RefusalReason::AnotherProtocol {
                said: Failure::new(error),
            },
            (sqlstate::PRIVILEGED_ROLE, _) => RefusalReason::PrivilegedRole {
                role: found.target.role().to_owned(),
                privileges: serde_json::from_str(&fact).unwrap_or_else(|_| vec![fact]),
            },
            _ => RefusalReason::NotOpened(error.into()),
        }
    }
}

/// Returns whether the server itself was suitable, and only the opening was refused.
fn comes_after_connecting(reason: &RefusalReason) -> bool {
    matches!(
        reason,
        RefusalReason::NotAdmitted { .. }
            | RefusalReason::Held { .. }
            | RefusalReason::SwitchOff { .. }
            | RefusalReason::LeaseOver
            | RefusalReason::LeaseElsewhere { .. }
            | RefusalReason::Approval { .. }
            | RefusalReason::PlanExpired { .. }
            | RefusalReason::Rejected { .. }
            | RefusalReason::MeansChanged { .. }
    )
}
