//! A live run: the plan, its progress, and the checks before a phase touches anything.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::SystemTime;

use super::inputs::InputsAhead;
use super::job::{Done, Execution, Job};
use super::stop::StopHandle;
use super::timeouts::Timeouts;
use super::verified_approval::VerifiedApproval;
use crate::authority::{ApprovalRequest, Attestation, Authority};
use crate::base::secret::unique;
use crate::database::{Connector, Session, StoredEntry, count_journalled};
use crate::kill_switch::{KillSwitch, SwitchState};
use crate::observer::{Cause, Ending, Event, Observer, Outcome, Step};
use crate::outcome::{
    ApprovalRefusal, CommitEvidence, Committed, InDoubt, Incomplete, LIVE, PhaseError, Refusal,
    RefusalReason,
};
use crate::plan::{Plan, PlanInputs, PlannedPhase, ProgramIdentity};

/// The options of a live run.
#[derive(Debug, Clone)]
pub(crate) struct LiveOptions {
    pub(crate) stop: Option<StopHandle>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retries: u32,
    pub(crate) allow_privileged_role: bool,
    pub(crate) new_session_per_phase: bool,
    /// What the program says of itself.
    pub(crate) program: Option<ProgramIdentity>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        LiveOptions {
            stop: None,
            timeouts: Timeouts::default(),
            retries: 2,
            allow_privileged_role: false,
            new_session_per_phase: false,
            program: None,
        }
    }
}

/// The state of a live run: the plan, its progress, and the authority, switch and connector, which the run asks again
/// for every phase.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct LiveEngine<'run> {
    pub(super) plan: &'run Plan,
    /// The number of the plan's phases that are committed, by this run or before it.
    pub(super) performed: usize,
    /// The number of these that were committed before this run, and when the last of them was.
    pub(super) before: usize,
    pub(super) before_at: Option<String>,
    /// The number of phases that the journal had when it was last read.
    pub(super) journalled: usize,
    /// The attestation behind each `Approval` of this run, in the order in which they were requested.
    pub(super) granted: Vec<Rc<VerifiedApproval>>,
    /// The same by gate, and by gate and phase.
    granted_for: BTreeMap<(String, Option<String>), Vec<Rc<VerifiedApproval>>>,
    pub(super) in_doubt: Option<InDoubt>,
    /// Whether the role was already found to have no privileges that bypass the interlock.
    pub(super) role_is_fit: bool,
    /// The session of the phase before, for the next one.
    pub(super) kept: Option<Session>,
    /// What the journal has of the next phases, where it was read with a phase that was committed already.
    pub(super) ahead: VecDeque<StoredEntry>,
    pub(super) kill_switch: &'run dyn KillSwitch,
    authority: &'run mut dyn Authority,
    pub(super) connector: &'run mut dyn Connector,
    pub(super) observer: &'run mut Observer<'run>,
    pub(super) options: LiveOptions,
    /// The code and SQLSTATE of the last phase, if it was not performed.
    failed: Option<(String, Option<String>)>,
    /// The approved inputs, if the run was given them.
    inputs: Option<InputsAhead<'run>>,
}

/// The progress of a run that has ended with every phase of its plan committed.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The number of phases that this run committed.
    pub(crate) performed: usize,
    /// The number of phases that were committed before.
    pub(crate) before: usize,
    /// When the last of those was committed, by the server's clock.
    pub(crate) before_at: Option<String>,
}

impl<'run> LiveEngine<'run> {
    pub(crate) fn new(
        plan: &'run Plan,
        kill_switch: &'run dyn KillSwitch,
        authority: &'run mut dyn Authority,
        connector: &'run mut dyn Connector,
        observer: &'run mut Observer<'run>,
        options: LiveOptions,
        prepared: Option<Session>,
    ) -> Self {
        LiveEngine {
            plan,
            performed: 0,
            before: 0,
            before_at: None,
            journalled: 0,
            granted: Vec::new(),
            granted_for: BTreeMap::new(),
            in_doubt: None,
            role_is_fit: options.allow_privileged_role,
            kept: prepared,
            ahead: VecDeque::new(),
            kill_switch,
            authority,
            connector,
            observer,
            options,
            failed: None,
            inputs: None,
        }
    }

    /// Gives the pipeline the approved inputs.
    pub(crate) fn with_inputs(mut self, inputs: Option<&'run PlanInputs>) -> Self {
        self.inputs = inputs.map(|inputs| InputsAhead::of(self.plan, inputs));
        self
    }

    /// Tells the observer that the run begins, and returns the name of the run.
    pub(crate) fn begin(&mut self) -> String {
        let run = unique();
        (self.observer)(&Event::RunBegins {
            run: &run,
            pipeline: self.plan.pipeline(),
            plan: self.plan.digest(),
            target: self.plan.target(),
            phases: self.plan.phases().len(),
        });
        run
    }

    /// Tells the observer that the run has ended; `refusal` is why it did not begin.
    pub(crate) fn end(&mut self, run: &str, refusal: Option<&Refusal>) {
        let outcome = if self.in_doubt.is_some() {
            Outcome::InDoubt
        } else if self.performed == self.plan.phases().len() {
            Outcome::Complete
        } else {
            Outcome::Incomplete
        };
        let failed = self.failed.as_ref().map(|(code, sqlstate)| Cause {
            code,
            sqlstate: sqlstate.as_deref(),
        });
        let cause = refusal.map(|refusal| Cause {
            code: refusal.code(),
            sqlstate: None,
        });
        (self.observer)(&Event::RunEnds {
            run,
            outcome,
            committed: self.performed,
            cause: cause.or(failed),
        });
    }

    /// Returns the approved input of the next phase that is meant; see [`InputsAhead`].
    pub(crate) fn input(&mut self, is_of: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
        self.inputs.as_mut()?.next(self.performed, is_of)
    }

    /// Returns why the program has stopped the run; `None` if it has not.
    pub(super) fn stopped(&self) -> Option<String> {
        self.options.stop.as_ref().and_then(StopHandle::stopped)
    }

    /// Reads the kill switch. `phase` is the one that is about to begin; `None` at the beginning of a run.
    pub(crate) fn refuse_unless_on(&self, phase: Option<&str>) -> Result<(), Refusal> {
        let phase = phase.map(str::to_owned);
        if let Some(why) = self.stopped() {
            return Err(Refusal::new(phase, RefusalReason::Stopped { why }));
        }
        match self.kill_switch.read() {
            Ok(SwitchState::On) => Ok(()),
            Ok(SwitchState::Off) => Err(Refusal::new(
                phase,
                RefusalReason::SwitchOff {
                    switch: Box::new(self.kill_switch.describe_off()),
                },
            )),
            Err(source) => Err(Refusal::new(phase, RefusalReason::SwitchUnreadable(source))),
        }
    }

    /// Returns the phase that is in doubt, if there is one, independently of the pipeline's own result.
    pub(crate) fn in_doubt(&self) -> Option<&InDoubt> {
        self.in_doubt.as_ref()
    }

    /// Returns the progress, or an error if not every phase of the plan was performed.
    pub(crate) fn conclude(self) -> Result<Progress, Incomplete> {
        let missing = &self.plan.phases()[self.performed..];
        if missing.is_empty() {
            Ok(Progress {
                performed: self.performed - self.before,
                before: self.before,
                before_at: self.before_at,
            })
        } else {
            Err(Incomplete::new(self.committed(), names(missing)))
        }
    }

    pub(super) fn committed(&self) -> Vec<String> {
        names(&self.plan.phases()[..self.performed])
    }

    pub(super) fn refuse_in_doubt(&self, phase: &str) -> Result<(), Refusal> {
        match &self.in_doubt {
            None => Ok(()),
            Some(doubt) => Err(Refusal::of_phase(
                phase,
                RefusalReason::Unresolved {
                    in_doubt: doubt.phase().to_owned(),
                },
            )),
        }
    }

    pub(super) fn refuse_unplanned(&self, presented: &PlannedPhase) -> Result<(), Refusal> {
        let phase = presented.name();
        let next = self.plan.phases().get(self.performed);
        let Some(planned) = next.filter(|planned| planned.name() == phase) else {
            return Err(Refusal::of_phase(
                phase,
                RefusalReason::NotNextInPlan {
                    planned: next.map(|planned| planned.name().to_owned()),
                },
            ));
        };
        if planned.gates() != presented.gates() {
            return Err(Refusal::of_phase(
                phase,
                RefusalReason::GateChanged {
                    planned: planned.gates().to_vec(),
                    presented: presented.gates().to_vec(),
                },
            ));
        }
        if planned.after() != presented.after() {
            return Err(Refusal::of_phase(
                phase,
                RefusalReason::OrderChanged {
                    planned: planned.after().to_vec(),
                    presented: presented.after().to_vec(),
                },
            ));
        }
        if planned.input() != presented.input() {
            return Err(Refusal::of_phase(
                phase,
                RefusalReason::InputChanged {
                    planned: planned.input(),
                    presented: presented.input(),
                },
            ));
        }
        Ok(())
    }

    /// Refuses a phase of an expired plan. A phase that is committed already passes: its receipt is returned all the
    /// same.
    pub(super) fn refuse_expired(&mut self, phase: &str) -> Result<(), Refusal> {
        match self.plan.valid_until() {
            Some(valid_until)
                if valid_until <= SystemTime::now() && !self.is_journalled(self.performed) =>
            {
                Err(Refusal::of_phase(
                    phase,
                    RefusalReason::PlanExpired { valid_until },
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn attestations(&self) -> impl Iterator<Item = &Attestation> {
        self.granted.iter().map(|granted| granted.attestation())
    }

    /// Returns the attestations behind the approvals that the phase was given, in the order of its gates, checked
    /// again at this moment: one may have expired since it was given.
    pub(super) fn approvals_of(
        &mut self,
        phase: &str,
        gates: &[&str],
    ) -> Result<Vec<Rc<VerifiedApproval>>, Refusal> {
        let mut approvals = Vec::new();
        for &gate in gates {
            let checked = match self.granted_for(phase, gate, &approvals) {
                Some(granted) => self.check(&granted, self.performed, gate).map(|()| granted),
                None => Err(ApprovalRefusal::Missing),
            };
            approvals.push(checked.map_err(|reason| {
                Refusal::of_phase(
                    phase,
                    RefusalReason::Approval {
                        gate: gate.to_owned(),
                        reason,
                    },
                )
            })?);
        }
        Ok(approvals)
    }

    /// Returns the approval of `gate` that was requested last for `phase`, and is not in `taken`; if there is none,
    /// one that was requested for another phase, so that the refusal can name that phase.
    fn granted_for(
        &self,
        phase: &str,
        gate: &str,
        taken: &[Rc<VerifiedApproval>],
    ) -> Option<Rc<VerifiedApproval>> {
        let last = |phase: Option<&str>| {
            let key = (gate.to_owned(), phase.map(str::to_owned));
            let granted = self.granted_for.get(&key)?.iter().rev();
            let is_taken = |granted: &Rc<_>| taken.iter().any(|taken| Rc::ptr_eq(taken, granted));
            granted
                .into_iter()
                .find(|granted| !is_taken(granted))
                .cloned()
        };
        last(Some(phase)).or_else(|| last(None))
    }

    fn grant(&mut self, granted: VerifiedApproval) {
        let granted = Rc::new(granted);
        let gate = &granted.attestation().statement().gate;
        for phase in [None, Some(granted.phase().to_owned())] {
            let granted_for = self.granted_for.entry((gate.clone(), phase)).or_default();
            granted_for.push(Rc::clone(&granted));
        }
        self.granted.push(granted);
    }

    /// Checks an approval for the phase at `place`, counted from 0. An approval that the phase has spent already may
    /// have expired since.
    fn check(
        &mut self,
        granted: &VerifiedApproval,
        place: usize,
        gate: &str,
    ) -> Result<(), ApprovalRefusal> {
        let phase = self.plan.phases()[place].name();
        match granted.check(phase, gate, self.plan, SystemTime::now()) {
            Err(ApprovalRefusal::Expired { .. }) if self.is_journalled(place) => Ok(()),
            checked => checked,
        }
    }

    /// Returns whether the journal has the phase at `place`, counted from 0; `false` if the server cannot be asked.
    fn is_journalled(&mut self, place: usize) -> bool {
        if self.journalled <= place
            && let Ok(mut session) = Session::connect(self.connector)
        {
            let committed = count_journalled(session.client(), self.plan.digest());
            self.journalled =
                committed.map_or(0, |committed| usize::try_from(committed).unwrap_or(0));
        }
        self.journalled > place
    }

    /// Keeps the session of a phase for the next one.
    pub(super) fn keep(&mut self, session: Session) {
        if session.is_reusable && !self.options.new_session_per_phase {
            self.kept = Some(session);
        }
    }

    pub(super) fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}

fn names(phases: &[PlannedPhase]) -> Vec<String> {
    phases.iter().map(|phase| phase.name().to_owned()).collect()
}

impl LiveEngine<'_> {
    /// The mode's name, for people.
    pub(crate) const MODE: &'static str = LIVE;

    /// Requests the approval of `gate` from the authority, for the plan's next phase behind that gate.
    pub(crate) fn approve(&mut self, gate: &str) -> Result<(), Refusal> {
        let plan = self.plan;
        let mut ahead = plan.phases().iter().enumerate().skip(self.performed);
        let next = ahead.find(|(_, planned)| planned.gates().iter().any(|behind| behind == gate));
        let refused = |reason| {
            Refusal::new(
                next.map(|(_, planned)| planned.name().to_owned()),
                RefusalReason::Approval {
                    gate: gate.to_owned(),
                    reason,
                },
            )
        };
        let (place, phase) = next.ok_or_else(|| refused(ApprovalRefusal::NotNeeded))?;
        let attestation = self
            .authority
            .attest(&ApprovalRequest {
                gate,
                phase: phase.name(),
                pipeline: plan.pipeline(),
                plan: plan.digest(),
                target: plan.target(),
            })
            .map_err(|denied| refused(denied.into()))?;
        let granted = VerifiedApproval::new(attestation, phase.name());
        self.check(&granted, place, gate).map_err(refused)?;
        self.grant(granted);
        Ok(())
    }

    /// Performs the plan's next phase, which must be `job`.
    pub(crate) fn perform(
        &mut self,
        job: &mut Job<'_>,
        perform: &mut Execution<'_>,
    ) -> Result<Done<Committed>, PhaseError> {
        let phase = job.phase;
        (self.observer)(&Event::Begins {
            phase,
            place: self.performed + 1,
            of: Some(self.plan.phases().len()),
        });
        let done = match self.execute(job, perform) {
            Err(PhaseError::RolledBack(rollback)) => Err(rollback.after(self.committed()).into()),
            done => done,
        };
        let ending = match &done {
            Ok(done) if done.evidence.evidence() == CommitEvidence::Before => {
                Ending::AlreadyCommitted
            }
            Ok(_) => Ending::Performed,
            Err(PhaseError::Refused(_)) => Ending::Refused,
            Err(PhaseError::RolledBack(_)) => Ending::RolledBack,
            Err(PhaseError::InDoubt(_)) => Ending::InDoubt,
        };
        if let Some(why) = self.stopped().filter(|_| done.is_err()) {
            (self.observer)(&Event::Stopping { phase, why: &why });
        }
        let cause = done.as_ref().err().map(PhaseError::cause);
        self.failed = cause.map(|cause| (cause.code.to_owned(), cause.sqlstate.map(str::to_owned)));
        (self.observer)(&Event::Ends {
            phase,
            ending,
            cause,
        });
        done
    }
}
