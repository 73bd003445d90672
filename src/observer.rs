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
        /// How many phases the plan has; unknown in a dry run, which makes the plan.
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
    /// The phase has done a row of its input.
    #[non_exhaustive]
    Rows {
        /// The phase.
        phase: &'a str,
        /// How many rows are done.
        done: u64,
        /// How many there are, if that is known.
        total: Option<u64>,
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
/// | [`SwitchOn`](Step::SwitchOn) | `Refusal::{SwitchOff, SwitchUnreadable}` |
/// | [`Valid`](Step::Valid) | `Refusal::{NotCanonical, NameNotPlanned, Invalid}` |
/// | [`AsPlanned`](Step::AsPlanned) | `Refusal::{NotNextInPlan, GateChanged, OrderChanged, InputChanged, Approval}` |
/// | [`Connected`](Step::Connected) | `Refusal::{NotConnected, NotIdentified, SessionInTransaction, ActingRole, AnotherTarget, Standby}` |
/// | [`Opened`](Step::Opened) | `Refusal::NotOpened` |
/// | [`Performed`](Step::Performed) | `RollbackCause::{Failed, SwitchOff, SwitchUnreadable, SavepointLeftOpen, Output}` |
/// | [`SwitchStillOn`](Step::SwitchStillOn) | `RollbackCause::{SwitchOff, SwitchUnreadable}` |
/// | [`Committed`](Step::Committed) | `RollbackCause::{ConnectionLost, Swallowed, CommitRefused}`, or in doubt |
///
/// A dry run passes [`Valid`](Step::Valid) and [`Performed`](Step::Performed) only.
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
    /// There is a session, and it leads to the database of the plan.
    Connected,
    /// The transaction is open.
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
    /// It was performed; live, it is committed.
    Performed,
    /// A check said no, and nothing was touched.
    Refused,
    /// It failed, and nothing of it remains.
    RolledBack,
    /// Whether it was committed is not known.
    InDoubt,
}

/// Is told what happens in a run; see [`LiveRunner::observer`](crate::LiveRunner::observer).
pub(crate) type Observer<'a> = dyn FnMut(&Event<'_>) + Send + 'a;
