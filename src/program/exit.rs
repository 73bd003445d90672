//! The exit codes of a program. Each says what the code means for the data; none changes its meaning.

use crate::outcome::{Error, RefusalReason, RollbackCause};

/// Done, or done before; the output says which.
pub const OK: u8 = 0;
/// An error that no other code has: of the operating system, or a defect.
pub const UNEXPECTED: u8 = 1;
/// The arguments are wrong.
pub const USAGE: u8 = 2;
/// `check` and `doctor`: something is missing. Nothing was touched.
pub const NOT_READY: u8 = 3;
/// `diff`, `replan`, `rehearse` and `gates --check` found a difference.
pub const DIFFERS: u8 = 4;
/// Refused: nothing was touched.
pub const REFUSED: u8 = 10;
/// Refused because a kill switch is OFF or cannot be read: nothing was touched. A scheduler can try again later.
pub const SWITCHED_OFF: u8 = 11;
/// Refused because the plan or an approval is not admitted, has expired, or was rejected: nothing was touched.
pub const NOT_APPROVED: u8 = 12;
/// A phase failed and left nothing. Those before it stay committed.
pub const ROLLED_BACK: u8 = 20;
/// The pipeline ended before every planned phase was performed. Those that were performed stay committed.
pub const INCOMPLETE: u8 = 21;
/// Stopped by a signal or by a kill switch. The phase in progress left nothing; those before it stay committed.
pub const STOPPED: u8 = 22;
/// Reserved for a phase of many transactions that is paused.
pub const PAUSED: u8 = 23;
/// It is not known whether a phase was committed: the same command, run again, resolves it.
pub const IN_DOUBT: u8 = 30;
/// Reserved for a statement outside of a transaction whose end is not known.
pub const UNKNOWN: u8 = 31;
/// The evidence is inconsistent, or a signature does not verify.
pub const EVIDENCE: u8 = 40;
/// There is no connection to the server: nothing was touched.
pub const NO_SERVER: u8 = 50;

/// Each code, with its constant and its meaning for the data, as the help shows them.
pub const ALL: [(u8, &str, &str); 16] = [
    (OK, "OK", "done, or done before"),
    (UNEXPECTED, "UNEXPECTED", "an error that no other code has"),
    (USAGE, "USAGE", "the arguments are wrong"),
    (
        NOT_READY,
        "NOT_READY",
        "something is missing; nothing was touched",
    ),
    (DIFFERS, "DIFFERS", "a difference was found"),
    (REFUSED, "REFUSED", "nothing was touched"),
    (
        SWITCHED_OFF,
        "SWITCHED_OFF",
        "nothing was touched: a kill switch is OFF",
    ),
    (
        NOT_APPROVED,
        "NOT_APPROVED",
        "nothing was touched: not admitted, expired or rejected",
    ),
    (
        ROLLED_BACK,
        "ROLLED_BACK",
        "the phase left nothing; those before it stay committed",
    ),
    (
        INCOMPLETE,
        "INCOMPLETE",
        "the pipeline ended early; what it performed stays committed",
    ),
    (
        STOPPED,
        "STOPPED",
        "stopped; the phase in progress left nothing",
    ),
    (PAUSED, "PAUSED", "reserved"),
    (
        IN_DOUBT,
        "IN_DOUBT",
        "run the same command again to resolve the commit",
    ),
    (UNKNOWN, "UNKNOWN", "reserved"),
    (EVIDENCE, "EVIDENCE", "the evidence is inconsistent"),
    (NO_SERVER, "NO_SERVER", "no connection; nothing was touched"),
];

/// Returns the exit code of a run that ended with `error`.
#[must_use]
pub fn of(error: &Error) -> u8 {
    match error {
        Error::Refused(refusal) => match refusal.reason() {
            RefusalReason::SwitchOff { .. }
            | RefusalReason::SwitchUnreadable(_)
            | RefusalReason::LeaseOver
            | RefusalReason::LeaseElsewhere { .. } => SWITCHED_OFF,
            RefusalReason::Approval { .. }
            | RefusalReason::NotAdmitted { .. }
            | RefusalReason::Rejected { .. } => NOT_APPROVED,
            RefusalReason::Stopped { .. } => STOPPED,
            RefusalReason::NotConnected(_) => NO_SERVER,
            _ => REFUSED,
        },
        Error::RolledBack(rollback) => match rollback.cause() {
            RollbackCause::Stopped(_)
            | RollbackCause::SwitchOff(_)
            | RollbackCause::SwitchUnreadable(_) => STOPPED,
            _ => ROLLED_BACK,
        },
        Error::InDoubt(_) => IN_DOUBT,
        Error::Incomplete(_) => INCOMPLETE,
    }
}
