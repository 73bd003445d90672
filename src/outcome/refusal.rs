use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

use super::blocking_session::BlockingSession;
use super::{ApprovalRefusal, BoxError, Failure, InputRow, Invalid, ago};
use crate::base::canonical::NotCanonical;
use crate::base::digest::Digest;
use crate::base::printable::{Listed, Printable};
use crate::kill_switch::{SwitchOff, SwitchUnreadable};
use crate::plan::{InputsError, ProgramIdentity, Target};

/// A check failed before anything was touched.
///
/// The message includes the cause, and [`source`](std::error::Error::source) is `None`, so that a printed chain of
/// causes does not repeat it. [`reason`](Refusal::reason) has the cause as a value.
#[derive(Debug)]
pub struct Refusal {
    phase: Option<String>,
    reason: Box<RefusalReason>,
}

impl Refusal {
    pub(crate) fn new(phase: Option<String>, reason: RefusalReason) -> Self {
        Refusal {
            phase,
            reason: Box::new(reason),
        }
    }

    pub(crate) fn of_phase(phase: &str, reason: RefusalReason) -> Self {
        Refusal::new(Some(phase.to_owned()), reason)
    }

    pub(crate) fn of_run(reason: RefusalReason) -> Self {
        Refusal::new(None, reason)
    }

    /// Returns the phase that was refused; `None` if the whole run was.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        self.phase.as_deref()
    }

    /// Returns which check failed.
    #[must_use]
    pub fn reason(&self) -> &RefusalReason {
        &self.reason
    }

    /// Returns which check failed, by value.
    #[must_use]
    pub fn into_reason(self) -> RefusalReason {
        *self.reason
    }

    /// Returns the row of the input that is invalid, if there is one.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        match &*self.reason {
            RefusalReason::Invalid(invalid) => invalid.row(),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.phase {
            Some(phase) => write!(f, "phase `{phase}`: refused, {}", self.reason),
            None => write!(f, "run: refused, {}", self.reason),
        }
    }
}

impl StdError for Refusal {}

/// Why a phase, or a run, was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The kill switch is OFF, which is its default.
    #[error("{switch}")]
    SwitchOff {
        /// Which switch it is, with who turned it off and why, as far as known.
        switch: Box<SwitchOff>,
    },
    /// The kill switch cannot be read, and so counts as OFF.
    #[error("{0}")]
    SwitchUnreadable(SwitchUnreadable),
    /// The program has stopped the run, by [`StopHandle::stop`](crate::runner::StopHandle::stop).
    #[error("the program has stopped the run: {}", Printable(.why))]
    Stopped {
        /// The reason that was given.
        why: String,
    },
    /// A gate was not passed.
    #[error("gate `{gate}`: {reason}")]
    Approval {
        /// The name of the gate.
        gate: String,
        /// Why it was not passed.
        reason: ApprovalRefusal,
    },
    /// The phase's input is invalid.
    #[error("{0}")]
    Invalid(Invalid),
    /// The phase's input cannot be hashed and read back, so it cannot be approved.
    #[error("its input is not fit to be planned: {0}")]
    NotCanonical(NotCanonical),
    /// The phase's name depends on a value that is not in its bytes.
    #[error("read back from its own bytes it is called `{decoded}`")]
    NameNotPlanned {
        /// The name that results when the input is read back.
        decoded: String,
    },
    /// The run already has a phase of this name.
    #[error("this run already has a phase of that name")]
    DuplicatePhase,
    /// A dry run or a rehearsal performed no phase, so there is nothing to plan.
    #[error("the pipeline performed no phase, so there is nothing to approve")]
    EmptyPlan,
    /// The plan would contain a value that is not allowed in plans, and would be refused when it is read back.
    #[error("the plan would be flawed: {flaw}")]
    PlanFlawed {
        /// The value, and what is wrong with it.
        flaw: String,
    },
    /// Two rehearsals of a pipeline did not do the same, so that one cannot confirm what the other has written.
    #[error("the second rehearsal did not do what the first one did:\n{}", .differences.trim_end())]
    RehearsalsDiffer {
        /// The differences of the plans, a line for each.
        differences: String,
    },
    /// The plan has expired.
    #[error(
        "the plan was valid until {} ago",
        ago(*.valid_until)
    )]
    PlanExpired {
        /// Until when the plan was valid.
        valid_until: SystemTime,
    },
    /// The plan was made by another pipeline.
    #[error("the plan is for pipeline `{planned}`, and this is `{running}`")]
    AnotherPipeline {
        /// The pipeline that the plan names.
        planned: String,
        /// The pipeline that was to run.
        running: String,
    },
    /// The plan was made by another program, and the run asks for the same.
    #[error("the plan was made by {}, and this is {}", program(.planned.as_deref()), program(.running.as_deref()))]
    AnotherProgram {
        /// The program that made the plan; `None` if the plan does not name it.
        planned: Option<Box<ProgramIdentity>>,
        /// This program; `None` if its executable cannot be read.
        running: Option<Box<ProgramIdentity>>,
    },
    /// Tables, views or functions that the rehearsal used have another definition since, or are gone.
    #[error("since the rehearsal these have changed: {}", Listed::new(.objects, ", "))]
    MeansChanged {
        /// Their names, as the plan has them: `table bank.account`, `function bank.touch()`.
        objects: Vec<String>,
    },
    /// The run was given the inputs of another plan.
    #[error("{0}")]
    AnotherInputs(InputsError),
    /// The plan has another phase at this place, or none.
    #[error(
        "it is not what was planned: {}",
        match .planned { Some(planned) => format!("the plan's next phase is `{planned}`"), None => "the plan has no further phase".to_owned() }
    )]
    NotNextInPlan {
        /// The phase that the plan has next; `None` if it has no further one.
        planned: Option<String>,
    },
    /// The plan was made when this phase had other gates.
    #[error("it was planned behind {}, and is now behind {}", names(.planned, "no gate"), names(.presented, "no gate"))]
    GateChanged {
        /// The gates that the plan names.
        planned: Vec<String>,
        /// The gates that the phase has now.
        presented: Vec<String>,
    },
    /// The plan was made when this phase came after others.
    #[error("it was planned after {}, and now comes after {}", names(.planned, "nothing"), names(.presented, "nothing"))]
    OrderChanged {
        /// The phases that it comes after in the plan.
        planned: Vec<String>,
        /// The phases whose receipts it was given.
        presented: Vec<String>,
    },
    /// The phase's input is not the one that was approved.
    #[error("its input is not what was approved: planned {planned}, presented {presented}")]
    InputChanged {
        /// The digest that the plan has.
        planned: Digest,
        /// The digest of the input that was presented.
        presented: Digest,
    },
    /// An earlier phase of this run is in doubt.
    #[error("whether `{in_doubt}` was committed is not known")]
    Unresolved {
        /// The phase that is in doubt.
        in_doubt: String,
    },
    /// The connector returned no connection.
    #[error("no connection to the database: {0}")]
    NotConnected(BoxError),
    /// The server, database or role is not the one that the plan is for.
    #[error(
        "this is not the {} of the plan: planned {planned}, found {found}",
        if planned.is_same_database(found) { "role" } else { "database" }
    )]
    AnotherTarget {
        /// The target that the plan names.
        planned: Box<Target>,
        /// The target of the session.
        found: Box<Target>,
    },
    /// The connector returned a session that is in a transaction already.
    #[error("the session that the connector returned is in a transaction already")]
    SessionInTransaction,
    /// The connector returned a session that acts as another role than the one that logged in.
    #[error(
        "the session logged in as `{}` and acts as `{}`",
        Printable(.role),
        Printable(.acting)
    )]
    ActingRole {
        /// The role that logged in.
        role: String,
        /// The role that the session acts as.
        acting: String,
    },
    /// The server is a standby, which cannot commit.
    #[error("the server is a standby")]
    Standby,
    /// The schema `phasegate` is not in the database.
    #[error("the schema `phasegate` is not installed in {found}")]
    NotInstalled {
        /// The target of the session.
        found: Box<Target>,
    },
    /// The schema `phasegate` has another version of the protocol than this release.
    #[error("{said}")]
    AnotherProtocol {
        /// The server's message.
        said: Failure,
    },
    /// The role is not a member of `phasegate_runner`.
    #[error(
        "role `{role}` may not perform phases here",
        role = Printable(.role)
    )]
    NotARunner {
        /// The role of the session.
        role: String,
    },
    /// The role has privileges that bypass the interlock.
    #[error(
        "role `{}` has privileges that bypass the interlock: {}",
        Printable(.role),
        Listed::new(.privileges, "; ")
    )]
    PrivilegedRole {
        /// The role of the session.
        role: String,
        /// Each privilege, with the command that removes it.
        privileges: Vec<String>,
    },
    /// The plan is not admitted to the database.
    #[error("plan {plan} is not admitted in {found}")]
    NotAdmitted {
        /// The digest of the plan.
        plan: Digest,
        /// The target of the session.
        found: Box<Target>,
    },
    /// An eligible approver has rejected the plan, and an operator has admitted the rejection.
    #[error(
        "{} has rejected the plan: {}",
        Printable(.by),
        Printable(.comment)
    )]
    Rejected {
        /// The name of that approver.
        by: String,
        /// The approver's comment.
        comment: String,
    },
    /// The lease of the database's kill switch is over.
    #[error("the lease of the kill switch is over")]
    LeaseOver,
    /// The kill switch was turned on in another cluster, or on another timeline.
    #[error("{said}")]
    LeaseElsewhere {
        /// The server's message.
        said: Failure,
    },
    /// Another run is performing a phase of the same plan, and did not end it within
    /// [`Timeouts::lock`](crate::Timeouts::lock).
    #[error(
        "the plan is being performed by {}",
        .holder.as_ref().map_or_else(|| "a session that has ended meanwhile".to_owned(), ToString::to_string)
    )]
    Held {
        /// The session of that run, if the server reveals it.
        holder: Option<Box<BlockingSession>>,
    },
    /// The connector returned a session that was opened before it was called.
    #[error(
        "the session that the connector returned had been in use for {age:.1} s: a pool stands between"
    )]
    SessionNotNew {
        /// The age of the session, in seconds.
        age: f64,
    },
    /// The journal has the phase as committed, but its output there cannot be decoded as this phase's output.
    #[error("it is committed, but its output cannot be read back: {0}")]
    OutputUnreadable(BoxError),
    /// The rehearsal has lost its session, and with it the rows of its phases: the later phases cannot be rehearsed.
    #[error(
        "the rehearsal is over: its session ended {}, and with it the rows of the phases before{}",
        .lost_in.as_ref().map_or_else(|| "between two phases".to_owned(), |lost| format!("in phase `{lost}`")),
        .said.as_ref().map(|said| format!(" ({})", super::describe(&**said))).unwrap_or_default()
    )]
    RehearsalOver {
        /// The phase in which the session was lost; `None` if it was lost between two.
        lost_in: Option<String>,
        /// The error of the server or the driver.
        said: Option<BoxError>,
    },
    /// The server did not open the phase.
    #[error("the server did not open it: {}", super::describe(&**.0))]
    NotOpened(BoxError),
}

fn program(program: Option<&ProgramIdentity>) -> String {
    program.map_or_else(
        || "a program that is not named".to_owned(),
        ToString::to_string,
    )
}

fn names(names: &[String], none: &str) -> String {
    if names.is_empty() {
        none.to_owned()
    } else {
        Listed::quoted(names, " and ").to_string()
    }
}
