use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::live::Conduct;
use super::{Brand, Ran, StopHandle};
use crate::approval::{ApprovalRequest, Attestation, Authority, Granted};
use crate::canonical;
use crate::gate::{Approved, Gate};
use crate::kill_switch::{KillSwitch, SwitchState};
use crate::mode::{Live, Mode};
use crate::observer::{Ending, Event, Observer, Step};
use crate::outcome::{
    ApprovalRefusal, Committed, Error, Failure, InDoubt, Incomplete, Learnt, Refusal, Rollback,
    RollbackCause, Stop,
};
use crate::phase::{PhaseSpec, full_name, gates};
use crate::plan::{Plan, PlannedPhase};
use crate::postgres::{Connector, Fate, PhaseTx, Session, settle};
use crate::sealed::{self, Done, Given};

/// What a live run holds: the plan and how far it got, and the collaborators, which it asks anew
/// for every phase.
#[allow(missing_debug_implementations)] // sealed: nobody outside can hold one
pub struct LiveEngine<'run> {
    pub(super) plan: &'run Plan,
    /// How many of the plan's phases are committed, by this run or before it.
    pub(super) performed: usize,
    /// How many of these were committed before this run, and when the last of them was.
    pub(super) before: usize,
    pub(super) before_at: Option<String>,
    /// How many the journal was seen to have.
    journalled: usize,
    /// What every `Approved` of this run stands for, in the order of the asking.
    granted: Vec<Rc<Granted>>,
    pub(super) in_doubt: Option<InDoubt>,
    /// The role was found not to have powers that it must not have.
    pub(super) role_is_fit: bool,
    pub(super) kill_switch: &'run dyn KillSwitch,
    authority: &'run mut dyn Authority,
    pub(super) connector: &'run mut dyn Connector,
    pub(super) observer: &'run mut Observer<'run>,
    pub(super) conduct: Conduct,
}

impl<'run> LiveEngine<'run> {
    pub(super) fn new(
        plan: &'run Plan,
        kill_switch: &'run dyn KillSwitch,
        authority: &'run mut dyn Authority,
        connector: &'run mut dyn Connector,
        observer: &'run mut Observer<'run>,
        conduct: Conduct,
    ) -> Self {
        LiveEngine {
            plan,
            performed: 0,
            before: 0,
            before_at: None,
            journalled: 0,
            granted: Vec::new(),
            in_doubt: None,
            role_is_fit: conduct.despite_powers,
            kill_switch,
            authority,
            connector,
            observer,
            conduct,
        }
    }

    /// Why the program has stopped the run, if it has.
    pub(super) fn stopped(&self) -> Option<String> {
        self.conduct.stop.as_ref().and_then(StopHandle::stopped)
    }

    /// Reads the kill switch; `phase` is the one that is about to begin, or none if the run is.
    pub(super) fn refuse_unless_on(&self, phase: Option<&str>) -> Result<(), Refusal> {
        let phase = phase.map(str::to_owned);
        if let Some(why) = self.stopped() {
            return Err(Refusal::Stopped { phase, why });
        }
        match self.kill_switch.read() {
            Ok(SwitchState::On) => Ok(()),
            Ok(SwitchState::Off) => Err(Refusal::SwitchOff {
                phase,
                switch: Box::new(self.kill_switch.describe_off()),
            }),
            Err(source) => Err(Refusal::SwitchUnreadable { phase, source }),
        }
    }

    /// The run's answer, once the pipeline has given its own.
    pub(super) fn conclude<V, E: From<Error>>(self, answer: Result<V, E>) -> Result<Ran<V>, E> {
        if let Some(doubt) = self.in_doubt {
            return Err(Error::from(doubt).into());
        }
        let value = answer?;
        let missing = &self.plan.phases()[self.performed..];
        if missing.is_empty() {
            Ok(Ran {
                value,
                performed: self.performed - self.before,
                before: self.before,
                before_at: self.before_at,
            })
        } else {
            Err(Error::from(Incomplete::new(self.committed(), names(missing))).into())
        }
    }

    fn committed(&self) -> Vec<String> {
        names(&self.plan.phases()[..self.performed])
    }

    pub(super) fn refuse_in_doubt(&self, phase: &str) -> Result<(), Refusal> {
        match &self.in_doubt {
            None => Ok(()),
            Some(doubt) => Err(Refusal::Unsettled {
                phase: phase.to_owned(),
                in_doubt: doubt.phase().to_owned(),
            }),
        }
    }

    pub(super) fn refuse_unplanned(&self, presented: &PlannedPhase) -> Result<(), Refusal> {
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

    /// A plan that is over. What it has committed is handed back all the same.
    pub(super) fn refuse_expired(&mut self, phase: &str) -> Result<(), Refusal> {
        match self.plan.valid_until() {
            Some(valid_until)
                if valid_until <= SystemTime::now() && !self.is_journalled(self.performed) =>
            {
                Err(Refusal::PlanExpired {
                    phase: phase.to_owned(),
                    valid_until,
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn attestations(&self) -> impl Iterator<Item = &Attestation> {
        self.granted.iter().map(|granted| granted.attestation())
    }

    /// What the witnesses that the phase was given stand for, in the order of its gates, and checked
    /// again at this moment: one may have expired since it was given.
    pub(super) fn approvals_of<S: PhaseSpec>(
        &mut self,
        phase: &str,
    ) -> Result<Vec<Rc<Granted>>, Refusal> {
        let mut approvals = Vec::new();
        for gate in gates::<S>() {
            let checked = match self.granted_for(phase, &gate, &approvals) {
                Some(granted) => self
                    .check(&granted, self.performed, &gate)
                    .map(|()| granted),
                None => Err(ApprovalRefusal::Missing),
            };
            approvals.push(checked.map_err(|reason| Refusal::Approval {
                phase: Some(phase.to_owned()),
                gate,
                reason,
            })?);
        }
        Ok(approvals)
    }

    /// The approval of `gate` that was asked for last for `phase`, and is not `taken`; or else for
    /// whichever phase it was asked, so that the refusal can say which.
    fn granted_for(&self, phase: &str, gate: &str, taken: &[Rc<Granted>]) -> Option<Rc<Granted>> {
        let of_gate = || {
            let granted = self.granted.iter().rev();
            granted.filter(|granted| {
                granted.is_of(gate) && !taken.iter().any(|taken| Rc::ptr_eq(taken, granted))
            })
        };
        let of_phase = of_gate().find(|granted| granted.phase() == phase);
        of_phase.or_else(|| of_gate().next()).cloned()
    }

    /// Checks an approval for the phase at `place`, counted from 0. One that the phase has spent
    /// already need not hold any longer.
    fn check(
        &mut self,
        granted: &Granted,
        place: usize,
        gate: &str,
    ) -> Result<(), ApprovalRefusal> {
        let phase = self.plan.phases()[place].name();
        match granted.check(phase, gate, self.plan, SystemTime::now()) {
            Err(ApprovalRefusal::Expired { .. }) if self.is_journalled(place) => Ok(()),
            checked => checked,
        }
    }

    /// Whether the journal has the phase at `place`, counted from 0. A server that does not say so
    /// means no.
    fn is_journalled(&mut self, place: usize) -> bool {
        if self.journalled <= place
            && let Ok(mut session) = Session::connect(self.connector)
        {
            let plan = self.plan.digest();
            let committed = session.client().query_one(
                "SELECT pg_catalog.count(*) FROM phasegate.journal_of($1)",
                &[&plan.as_bytes().as_slice()],
            );
            let committed = committed.and_then(|row| row.try_get::<_, i64>(0));
            self.journalled =
                committed.map_or(0, |committed| usize::try_from(committed).unwrap_or(0));
        }
        self.journalled > place
    }

    /// Settles a doubt of this run, and answers as the phase itself would have.
    pub(super) fn settle<S: PhaseSpec>(
        &mut self,
        doubt: InDoubt,
        patience: Duration,
    ) -> Result<Done<S::Output, Committed>, Stop> {
        let phase = doubt.phase().to_owned();
        match settle(self.connector, &doubt, patience) {
            Err(_) => Err(doubt.into()),
            Ok(Fate::RolledBack) => {
                self.in_doubt = None;
                let source = Failure::new(doubt.to_string());
                let cause = RollbackCause::NotCommitted { source };
                Err(Rollback::new(&phase, Live::NAME, cause)
                    .after(self.committed())
                    .into())
            }
            Ok(Fate::Committed { entry, hash }) => {
                self.in_doubt = None;
                self.performed += 1;
                let output = canonical::decode(entry.output.as_bytes());
                let output = output.map_err(|error| Refusal::OutputUnreadable {
                    phase: phase.clone(),
                    source: error.into(),
                })?;
                self.passed(&phase, Step::Committed);
                Ok(Done {
                    phase: phase.clone(),
                    output,
                    bytes: entry.output.as_bytes().to_vec(),
                    evidence: Committed::from_journal(&entry, hash),
                })
            }
        }
    }

    pub(super) fn passed(&mut self, phase: &str, step: Step) {
        (self.observer)(&Event::Passed { phase, step });
    }
}

fn names(phases: &[PlannedPhase]) -> Vec<String> {
    phases.iter().map(|phase| phase.name().to_owned()).collect()
}

impl sealed::Mode for Live {
    type Scene<'t> = PhaseTx<'t>;
    type Engine<'run> = LiveEngine<'run>;
    type Evidence = Committed;

    fn approve<'run, G: Gate>(
        engine: &mut Self::Engine<'run>,
    ) -> Result<<Self as Mode>::Approval<'run, G>, Refusal> {
        let plan = engine.plan;
        let mut ahead = plan.phases().iter().enumerate().skip(engine.performed);
        let next = ahead.find(|(_, planned)| planned.gates().iter().any(|gate| gate == G::NAME));
        let refused = |reason| Refusal::Approval {
            phase: next.map(|(_, planned)| planned.name().to_owned()),
            gate: G::NAME.to_owned(),
            reason,
        };
        let (place, phase) = next.ok_or_else(|| refused(ApprovalRefusal::NotNeeded))?;
        let attestation = engine
            .authority
            .attest(&ApprovalRequest {
                gate: G::NAME,
                phase: phase.name(),
                pipeline: plan.pipeline(),
                plan: plan.digest(),
                target: plan.target(),
            })
            .map_err(|denied| refused(denied.into()))?;
        let granted = Granted::new(attestation, phase.name());
        engine.check(&granted, place, G::NAME).map_err(refused)?;
        engine.granted.push(Rc::new(granted));
        Ok(Approved::mint(Brand::new()))
    }

    fn perform<S: PhaseSpec, W: sealed::Perform<Self, S>>(
        engine: &mut LiveEngine<'_>,
        worker: &mut W,
        spec: &S,
        given: Given<'_, S>,
    ) -> Result<Done<S::Output, Committed>, Stop> {
        let phase = full_name(spec);
        (engine.observer)(&Event::Begins {
            phase: &phase,
            place: engine.performed + 1,
            of: Some(engine.plan.phases().len()),
        });
        let done = match engine.execute(&phase, worker, spec, &given) {
            Err(Stop::RolledBack(rollback)) => Err(rollback.after(engine.committed()).into()),
            done => done,
        };
        let ending = match &done {
            Ok(done) if done.evidence.learnt() == Learnt::Before => Ending::AlreadyCommitted,
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
