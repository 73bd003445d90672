//! The events of a run, while it is in progress.

use std::time::{Duration, SystemTime};

use crate::base::digest::Digest;
use crate::plan::Target;

/// An event of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A live run begins. A run that is refused before its kill switch is read sends no event; a dry run and a
    /// rehearsal send those of their phases only.
    #[non_exhaustive]
    RunBegins {
        /// Distinguishes this run from the others of its plan.
        run: &'a str,
        /// The name of the pipeline.
        pipeline: &'a str,
        /// The plan that it performs.
        plan: Digest,
        /// The database and role of the plan.
        target: &'a Target,
        /// The number of phases of the plan.
        phases: usize,
    },
    /// A live run has ended. A panic that leaves the pipeline ends it without this event.
    #[non_exhaustive]
    RunEnds {
        /// That of [`RunBegins`](Event::RunBegins).
        run: &'a str,
        /// How the run ended.
        outcome: Outcome,
        /// The number of phases of the plan that are committed, by this run or before it.
        committed: usize,
        /// Why the last phase that was not performed was not; `None` if each was.
        cause: Option<Cause<'a>>,
    },
    /// A phase has spent an approval, with its opening: if the phase is rolled back, the approval is not spent.
    #[non_exhaustive]
    ApprovalUsed {
        /// The name of the phase.
        phase: &'a str,
        /// The gate.
        gate: &'a str,
        /// Who approved.
        by: &'a str,
        /// When the approval expires.
        expires: SystemTime,
    },
    /// A phase waits, and performs nothing meanwhile. That a session waits for another one inside the server is not
    /// known here: `phasegate watch` shows it.
    #[non_exhaustive]
    Waits {
        /// The name of the phase.
        phase: &'a str,
        /// What it waits for.
        why: Waiting,
    },
    /// The run was stopped by its [`StopHandle`](crate::runner::StopHandle), which a phase has found.
    #[non_exhaustive]
    Stopping {
        /// The name of the phase.
        phase: &'a str,
        /// The reason of the stop.
        why: &'a str,
    },
    /// A phase begins.
    #[non_exhaustive]
    Begins {
        /// The name of the phase.
        phase: &'a str,
        /// The place of the phase in the run, counted from 1.
        place: usize,
        /// The number of phases in the plan; `None` in a dry run and in a rehearsal, which make the plan.
        of: Option<usize>,
    },
    /// A step of a phase was passed.
    #[non_exhaustive]
    Passed {
        /// The name of the phase.
        phase: &'a str,
        /// The step.
        step: Step,
    },
    /// The phase has performed rows: sent after each row of [`PhaseTx::for_each_row`](crate::PhaseTx::for_each_row),
    /// and after at most 64 of [`PhaseTx::batch`](crate::PhaseTx::batch). In a phase with several loops, each loop
    /// counts from 1; a copy sends no event.
    #[non_exhaustive]
    Rows {
        /// The name of the phase.
        phase: &'a str,
        /// The number of rows that are done.
        done: u64,
        /// The number of all rows, if that is known.
        total: Option<u64>,
    },
    /// A phase was rolled back for a transient reason, and is about to be performed again.
    #[non_exhaustive]
    TriesAgain {
        /// The name of the phase.
        phase: &'a str,
        /// The number of the next attempt, counted from 1.
        attempt: u32,
        /// The SQLSTATE of the failure: 40001, 40P01 or 55P03.
        sqlstate: &'a str,
    },
    /// A phase has ended.
    #[non_exhaustive]
    Ends {
        /// The name of the phase.
        phase: &'a str,
        /// How the phase ended.
        ending: Ending,
        /// Why it was not performed; `None` if it was, or was before.
        cause: Option<Cause<'a>>,
    },
}

/// The steps of a phase, in the order in which they are passed. The order is part of the contract.
///
/// | step | if it is not passed |
/// |---|---|
/// | [`SwitchOn`](Step::SwitchOn) | `RefusalReason::{SwitchOff, SwitchUnreadable}` |
/// | [`Valid`](Step::Valid) | `RefusalReason::{NotCanonical, NameNotPlanned, Invalid}` |
/// | [`AsPlanned`](Step::AsPlanned) | `RefusalReason::{NotNextInPlan, GateChanged, OrderChanged, InputChanged, PlanExpired, Approval}` |
/// | [`Connected`](Step::Connected) | `RefusalReason::{NotConnected, SessionNotNew, SessionInTransaction, ActingRole, AnotherTarget, Standby, NotInstalled, AnotherProtocol, NotARunner, PrivilegedRole}` |
/// | [`Opened`](Step::Opened) | `RefusalReason::{NotAdmitted, Rejected, PlanExpired, Held, SwitchOff, LeaseOver, LeaseElsewhere, Approval, OutputUnreadable, NotOpened}` |
/// | [`Performed`](Step::Performed) | `RollbackCause::{Failed, ConnectionLost, SwitchOff, SwitchUnreadable, LeaseOver, TimeOver, Swallowed, StatementNotPlanned, SavepointLeftOpen, Output}` |
/// | [`SwitchStillOn`](Step::SwitchStillOn) | `RollbackCause::{SwitchOff, SwitchUnreadable}` |
/// | [`Committed`](Step::Committed) | `RollbackCause::{ConnectionLost, Swallowed, SwitchOff, LeaseOver, EffectsDiffer, CommitRefused, EndedFromWithin, NotCommitted}`, or in doubt |
///
/// A dry run passes only [`Valid`](Step::Valid) and [`Performed`](Step::Performed). A rehearsal passes these,
/// [`Connected`](Step::Connected) once, and [`Opened`](Step::Opened) for each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// The kill switch was read and is ON.
    SwitchOn,
    /// The spec was read back from its own bytes and is valid.
    Valid,
    /// The phase is the next one of the plan, with the approved gates and input, and its approvals are valid.
    AsPlanned,
    /// A session is connected to the database of the plan, as a role that may perform phases and cannot bypass the
    /// interlock.
    Connected,
    /// The transaction and the phase in it are open: admitted, in order, approved, switched on.
    Opened,
    /// The adapter, or the simulator, has returned.
    Performed,
    /// The kill switch was read again and is still ON.
    SwitchStillOn,
    /// The transaction is committed.
    Committed,
}

/// Why a phase was not performed. It has no text: messages can hold data, and the error of the run has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause<'a> {
    /// The code of the error; see [`Error::code`](crate::Error::code).
    pub code: &'a str,
    /// The SQLSTATE, if the server reported one.
    pub sqlstate: Option<&'a str>,
}

/// What a phase waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// The pause before another attempt.
    #[non_exhaustive]
    Retry {
        /// The length of the pause.
        pause: Duration,
    },
    /// The server's response to whether a commit in doubt has happened.
    #[non_exhaustive]
    Resolving {
        /// The longest time that is waited.
        most: Duration,
    },
}

/// How a live run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every phase of the plan is committed.
    Complete,
    /// The pipeline ended before that. What is committed stays.
    Incomplete,
    /// It is not known whether a phase was committed.
    InDoubt,
}

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The phase was performed; in a live run it is committed, and in a rehearsal a commit would have been accepted.
    Performed,
    /// The phase was committed already, by an earlier or concurrent run of the same plan.
    AlreadyCommitted,
    /// A check failed, and nothing was touched.
    Refused,
    /// The phase failed, and was rolled back completely.
    RolledBack,
    /// It is not known whether the phase was committed.
    InDoubt,
}

/// A function that is called with the events of a run; see [`LiveRunner::observer`](crate::LiveRunner::observer).
pub(crate) type Observer<'a> = dyn FnMut(&Event<'_>) + Send + 'a;

/// Returns an observer that calls `first`, and then `second`.
pub(crate) fn observed_by(
    mut first: Box<Observer<'static>>,
    mut second: impl FnMut(&Event<'_>) + Send + 'static,
) -> Box<Observer<'static>> {
    Box::new(move |event| {
        first(event);
        second(event);
    })
}
