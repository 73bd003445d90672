//! The events of a run, while it is in progress.

/// An event of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
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
