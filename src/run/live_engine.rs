use std::time::SystemTime;

use super::Brand;
use super::decoded::decoded;
use crate::approval::{ApprovalRequest, Authority, Granted};
use crate::canonical;
use crate::gate::{Approved, Gate, Requirement};
use crate::kill_switch::{KillSwitch, SwitchState};
use crate::mode::{Live, Mode};
use crate::observer::{Ending, Event, Observer, Step};
use crate::outcome::{
    ApprovalRefusal, Committed, DoubtReason, Error, Failure, InDoubt, Incomplete, Refusal,
    Rollback, RollbackCause, Stop,
};
use crate::phase::{PhaseSpec, full_name, gates};
use crate::plan::{Plan, PlannedPhase};
use crate::postgres::{CloseError, Connector, Identity, PhaseTx, Session};
use crate::sealed::{self, Done, Given};

/// What a live run holds: the plan and how far it got, and the collaborators, which it asks anew
/// for every phase.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct LiveEngine<'run> {
    plan: &'run Plan,
    performed: usize,
    in_doubt: Option<InDoubt>,
    kill_switch: &'run dyn KillSwitch,
    authority: &'run mut dyn Authority,
    connector: &'run mut dyn Connector,
    observer: &'run mut Observer<'run>,
}

impl<'run> LiveEngine<'run> {
    pub(super) fn new(
        plan: &'run Plan,
        kill_switch: &'run dyn KillSwitch,
        authority: &'run mut dyn Authority,
        connector: &'run mut dyn Connector,
        observer: &'run mut Observer<'run>,
    ) -> Self {
        LiveEngine {
            plan,
            performed: 0,
            in_doubt: None,
            kill_switch,
            authority,
            connector,
            observer,
        }
    }

    /// Reads the kill switch; `phase` is the one that is about to begin, or none if the run is.
    pub(super) fn refuse_unless_on(&self, phase: Option<&str>) -> Result<(), Refusal> {
        let phase = phase.map(str::to_owned);
        match self.kill_switch.read() {
            Ok(SwitchState::On) => Ok(()),
            Ok(SwitchState::Off) => Err(Refusal::SwitchOff { phase }),
            Err(source) => Err(Refusal::SwitchUnreadable { phase, source }),
        }
    }

    /// The run's answer, once the pipeline has given its own.
    pub(super) fn conclude<V, E: From<Error>>(self, answer: Result<V, E>) -> Result<V, E> {
        if let Some(doubt) = self.in_doubt {
            return Err(Error::from(doubt).into());
        }
        let value = answer?;
        let missing = &self.plan.phases()[self.performed..];
        if missing.is_empty() {
            Ok(value)
        } else {
            Err(Error::from(Incomplete::new(self.committed(), names(missing))).into())
        }
    }

    fn committed(&self) -> Vec<String> {
        names(&self.plan.phases()[..self.performed])
    }

    /// The live phase, step by step. The order is part of the contract; see [`Step`].
    fn execute<S: PhaseSpec, W: sealed::Perform<Live, S>>(
        &mut self,
        phase: &str,
        worker: &mut W,
        spec: &S,
        given: Given<'_, '_, S>,
    ) -> Result<Done<S::Output, Committed>, Stop> {
        self.refuse_in_doubt(phase)?;

        self.refuse_unless_on(Some(phase))?;
        self.passed(phase, Step::SwitchOn);

        let (bytes, spec) = decoded(phase, spec)?;
        self.passed(phase, Step::Valid);

        self.refuse_unplanned(&PlannedPhase::of::<S>(phase, given.after, &bytes))?;
        self.refuse_unapproved::<S>(phase, given.approvals)?;
        self.passed(phase, Step::AsPlanned);

        let (mut session, identity) = self.connect(phase)?;
        self.passed(phase, Step::Connected);

        let xid = session.open().map_err(|source| Refusal::NotOpened {
            phase: phase.to_owned(),
            source,
        })?;
        self.passed(phase, Step::Opened);
        let committed = Committed {
            transaction: identity.transaction(xid),
            target: identity.target,
        };

        // A panic in here drops the session, which rolls back.
        let mut tx = PhaseTx::new(session.client(), phase, self.kill_switch, self.observer);
        let answer = worker.perform(&spec, given.prior, &mut tx);
        let traces = tx.into_traces();
        let rolled_back = |cause| Rollback::new(phase, Live::NAME, cause);
        if let Some(cause) = traces.stopped {
            return Err(rolled_back(cause).into());
        }
        let output = answer.map_err(|failure| rolled_back(RollbackCause::Failed(failure)))?;
        if traces.lost {
            return Err(rolled_back(RollbackCause::ConnectionLost).into());
        }
        if traces.open_savepoints > 0 {
            return Err(rolled_back(RollbackCause::SavepointLeftOpen).into());
        }
        let (_, output) = canonical::round_trip(&output)
            .map_err(|error| rolled_back(RollbackCause::Output(error)))?;
        self.passed(phase, Step::Performed);

        match self.kill_switch.read() {
            Ok(SwitchState::On) => self.passed(phase, Step::SwitchStillOn),
            Ok(SwitchState::Off) => return Err(rolled_back(RollbackCause::SwitchOff).into()),
            Err(error) => return Err(rolled_back(RollbackCause::SwitchUnreadable(error)).into()),
        }

        // In doubt from here on, until there is an answer: even if a callback of the driver panics.
        let unanswered = "the close did not come to its end";
        let doubt = InDoubt::new(phase, DoubtReason::NoAnswer, committed.clone(), unanswered);
        self.in_doubt = Some(doubt);
        let closed = session
            .close(committed.xid())
            .map_err(|error| close_failed(phase, error, traces.failed_statement, &committed));
        self.in_doubt = match &closed {
            Err(Stop::InDoubt(doubt)) => Some(doubt.clone()),
            _ => None,
        };
        closed?;
        // Before anybody is told: an observer that panics does not make it uncommitted.
        self.performed += 1;
        self.passed(phase, Step::Committed);
        Ok(Done {
            output,
            evidence: committed,
        })
    }

    fn refuse_in_doubt(&self, phase: &str) -> Result<(), Refusal> {
        match &self.in_doubt {
            None => Ok(()),
            Some(doubt) => Err(Refusal::Unsettled {
                phase: phase.to_owned(),
                in_doubt: doubt.phase().to_owned(),
            }),
        }
    }

    fn refuse_unplanned(&self, presented: &PlannedPhase) -> Result<(), Refusal> {
        let phase = presented.name();
        let next = self.plan.phases().get(self.performed);
        let Some(planned) = next.filter(|planned| planned.name() == phase) else {
            return Err(Refusal::NotNextInPlan {
                phase: phase.to_owned(),
                planned: next.map(|planned| planned.name().to_owned()),
            });
        };
        if planned.gates() != presented.gates() {
            return Err(Refusal::GateChanged {
                phase: phase.to_owned(),
                planned: planned.gates().to_vec(),
                presented: presented.gates().to_vec(),
            });
        }
        if planned.after() != presented.after() {
            return Err(Refusal::OrderChanged {
                phase: phase.to_owned(),
                planned: planned.after().to_vec(),
                presented: presented.after().to_vec(),
            });
        }
        if planned.input() != presented.input() {
            return Err(Refusal::InputChanged {
                phase: phase.to_owned(),
                planned: planned.input(),
                presented: presented.input(),
            });
        }
        Ok(())
    }

    /// The approvals again, at this moment: one may have expired since it was given.
    fn refuse_unapproved<S: PhaseSpec>(
        &self,
        phase: &str,
        approvals: &[Granted],
    ) -> Result<(), Refusal> {
        let now = SystemTime::now();
        let mut approvals = approvals.iter();
        for gate in gates::<S>() {
            let checked = match approvals.next() {
                Some(granted) => granted.check(phase, &gate, self.plan, now),
                None => Err(ApprovalRefusal::Missing),
            };
            checked.map_err(|reason| Refusal::Approval {
                phase: Some(phase.to_owned()),
                gate,
                reason,
            })?;
        }
        Ok(())
    }

    fn connect(&mut self, phase: &str) -> Result<(Session, Identity), Refusal> {
        let phase = || phase.to_owned();
        let mut session =
            Session::connect(self.connector).map_err(|source| Refusal::NotConnected {
                phase: phase(),
                source: source.into(),
            })?;
        let found = session
            .identify()
            .map_err(|source| Refusal::NotIdentified {
                phase: phase(),
                source,
            })?;
        if found.in_transaction {
            return Err(Refusal::SessionInTransaction { phase: phase() });
        }
        if let Some(acting) = found.acting_role {
            return Err(Refusal::ActingRole {
                phase: phase(),
                role: found.target.role().to_owned(),
                acting,
            });
        }
        if found.target != *self.plan.target() {
            return Err(Refusal::AnotherTarget {
                phase: phase(),
                planned: Box::new(self.plan.target().clone()),
                found: Box::new(found.target),
            });
        }
        if found.timeline.is_none() {
            return Err(Refusal::Standby { phase: phase() });
        }
        Ok((session, found))
    }

    fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}

fn names(phases: &[PlannedPhase]) -> Vec<String> {
    phases.iter().map(|phase| phase.name().to_owned()).collect()
}

/// What a close that was not answered with a commit means.
fn close_failed(
    phase: &str,
    error: CloseError,
    swallowed: Option<String>,
    committed: &Committed,
) -> Stop {
    let rolled_back = |cause| Rollback::new(phase, Live::NAME, cause).into();
    let in_doubt = |reason, error| InDoubt::new(phase, reason, committed.clone(), error).into();
    match error {
        CloseError::AlreadyLost => rolled_back(RollbackCause::ConnectionLost),
        CloseError::StatementHadFailed => rolled_back(RollbackCause::Swallowed {
            statement: swallowed,
        }),
        CloseError::Refused(error) => {
            rolled_back(RollbackCause::CommitRefused(Failure::new(error)))
        }
        CloseError::AnotherTransaction(error) => in_doubt(DoubtReason::AnotherTransaction, error),
        CloseError::NoAnswer(error) => in_doubt(DoubtReason::NoAnswer, error),
    }
}

impl sealed::Mode for Live {
    type Scene<'t> = PhaseTx<'t>;
    type Engine<'run> = LiveEngine<'run>;
    type Evidence = Committed;

    fn approve<'run, G: Gate>(
        engine: &mut Self::Engine<'run>,
    ) -> Result<<Self as Mode>::Approval<'run, G>, Refusal> {
        let plan = engine.plan;
        let mut ahead = plan.phases()[engine.performed..].iter();
        let next = ahead.find(|planned| planned.gates().iter().any(|gate| gate == G::NAME));
        let refused = |reason| Refusal::Approval {
            phase: next.map(|planned| planned.name().to_owned()),
            gate: G::NAME.to_owned(),
            reason,
        };
        let phase = next.ok_or_else(|| refused(ApprovalRefusal::NotNeeded))?;
        let attestation = engine
            .authority
            .attest(&ApprovalRequest {
                gate: G::NAME,
                phase: phase.name(),
                pipeline: plan.pipeline(),
                plan: plan.digest(),
                target: plan.target(),
            })
            .map_err(|denied| refused(ApprovalRefusal::Denied(denied)))?;
        let granted = Granted::new(attestation, phase.name());
        granted
            .check(phase.name(), G::NAME, plan, SystemTime::now())
            .map_err(refused)?;
        Ok(Approved::mint(granted, Brand::new()))
    }

    fn granted<'a, R: Requirement>(approval: &'a Approved<'_, R>) -> &'a [Granted] {
        approval.granted()
    }

    fn perform<S: PhaseSpec, W: sealed::Perform<Self, S>>(
        engine: &mut LiveEngine<'_>,
        worker: &mut W,
        spec: &S,
        given: Given<'_, '_, S>,
    ) -> Result<Done<S::Output, Committed>, Stop> {
        let phase = full_name(spec);
        (engine.observer)(&Event::Begins {
            phase: &phase,
            place: engine.performed + 1,
            of: Some(engine.plan.phases().len()),
        });
        let done = match engine.execute(&phase, worker, spec, given) {
            Err(Stop::RolledBack(rollback)) => Err(rollback.after(engine.committed()).into()),
            done => done,
        };
        let ending = match &done {
            Ok(_) => Ending::Performed,
            Err(Stop::Refused(_)) => Ending::Refused,
            Err(Stop::RolledBack(_)) => Ending::RolledBack,
            Err(Stop::InDoubt(_)) => Ending::InDoubt,
        };
        (engine.observer)(&Event::Ends {
            phase: &phase,
            ending,
        });
        done
    }
}
