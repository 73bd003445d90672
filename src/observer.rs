//! What a run tells about itself while it goes on.

/// Something that happened in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A phase begins.
    #[non_exhaustive]
    Begins {
        /// The phase.
        phase: &'a str,
        /// Its place in the run, counted from 1.
        place: usize,
        /// How many phases the plan has; unknown in a dry run and in a rehearsal, which make the plan.
        of: Option<usize>,
    },
    /// A step of a phase was passed.
    #[non_exhaustive]
    Passed {
        /// The phase.
        phase: &'a str,
        /// The step.
        step: Step,
    },
    /// The phase has done rows: after each row of [`PhaseTx::for_each_row`](crate::PhaseTx::for_each_row), after at
    /// most 64 of [`PhaseTx::batch`](crate::PhaseTx::batch). Where it goes through rows several times, each time counts from 1; a
    /// copy says nothing.
    #[non_exhaustive]
    Rows {
        /// The phase.
        phase: &'a str,
        /// How many rows are done.
        done: u64,
        /// How many there are, if that is known.
        total: Option<u64>,
    },
    /// A phase was rolled back for a reason that passes, and is about to be performed once more.
    #[non_exhaustive]
    TriesAgain {
        /// The phase.
        phase: &'a str,
        /// Which try it will be, counted from 1.
        attempt: u32,
        /// What the server said: 40001, 40P01 or 55P03.
        sqlstate: &'a str,
    },
    /// A phase has ended.
    #[non_exhaustive]
    Ends {
        /// The phase.
        phase: &'a str,
        /// How.
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
/// | [`Performed`](Step::Performed) | `RollbackCause::{Failed, ConnectionLost, SwitchOff, SwitchUnreadable, LeaseOver, TimeOver, Swallowed, SavepointLeftOpen, Output}` |
/// | [`SwitchStillOn`](Step::SwitchStillOn) | `RollbackCause::{SwitchOff, SwitchUnreadable}` |
/// | [`Committed`](Step::Committed) | `RollbackCause::{ConnectionLost, Swallowed, SwitchOff, LeaseOver, EffectsDiffer, CommitRefused, EndedFromWithin, NotCommitted}`, or in doubt |
///
/// A dry run passes [`Valid`](Step::Valid) and [`Performed`](Step::Performed) only. A rehearsal passes
/// these, [`Connected`](Step::Connected) once, and [`Opened`](Step::Opened) for each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// The kill switch was read and is ON.
    SwitchOn,
    /// The spec was read back from its own bytes and is valid.
    Valid,
    /// It is the next phase of the plan, with the gates and the input that were approved, and its
    /// approvals hold.
    AsPlanned,
    /// There is a session, and it leads to the database of the plan, by a role that may perform
    /// phases and cannot bypass the interlock.
    Connected,
    /// The transaction is open, and the phase in it: admitted, in order, approved, switched on.
    Opened,
    /// The adapter, or the simulator, is done.
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
    /// It was performed; live, it is committed; in a rehearsal, a commit would have been accepted.
    Performed,
    /// It had been committed before, by an earlier run of the same plan or by another one.
    AlreadyCommitted,
    /// A check failed, and nothing was touched.
    Refused,
    /// It failed, and nothing of it remains.
    RolledBack,
    /// Whether it was committed is not known.
    InDoubt,
}

/// Is told what happens in a run; see [`LiveRunner::observer`](crate::LiveRunner::observer).
pub(crate) type Observer<'a> = dyn FnMut(&Event<'_>) + Send + 'a;

/// An observer that tells `first`, and then `second`.
pub(crate) fn observed_by(
    mut first: Box<Observer<'static>>,
    mut second: impl FnMut(&Event<'_>) + Send + 'static,
) -> Box<Observer<'static>> {
    Box::new(move |event| {
        first(event);
        second(event);
    })
}
