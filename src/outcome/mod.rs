//! How a phase, and a run, can end.
//!
//! A live phase ends in one of four ways, each with a type of its own:
//!
//! | | what it means for the data | type |
//! |---|---|---|
//! | performed | committed | [`Receipt`](crate::Receipt) |
//! | refused | nothing was touched | [`Refusal`] |
//! | rolled back | tried, and nothing of it remains | [`Rollback`] |
//! | in doubt | the response to the commit was lost, and it is not resolved yet | [`InDoubt`] |

mod approval_refusal;
mod attempted;
mod blocking_session;
mod code;
mod committed;
mod contents;
mod doubt;
mod effects;
mod failure;
mod hint;
mod refusal;
mod rollback;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::time::SystemTime;

use crate::base::printable::Listed;
use crate::observer::Cause;

pub use approval_refusal::ApprovalRefusal;
pub(crate) use attempted::Attempted;
pub use blocking_session::BlockingSession;
pub use committed::{CommitEvidence, Committed, Durability};
pub use contents::{ColumnDiffers, ContentsDiffer};
pub use doubt::{InDoubt, Resolution, ResolveError};
pub use effects::{EffectsDiffer, TableDiffers};
pub use failure::{Failure, InputRow, Invalid};
pub(crate) use failure::{describe, message_of, server_hint, sqlstate_of};
pub(crate) use hint::{Remedy, STATEMENT_NOT_PLANNED};
pub use refusal::{Refusal, RefusalReason};
pub use rollback::{Rollback, RollbackCause};

/// The modes' names, for people.
pub(crate) const DRY_RUN: &str = "dry run";
pub(crate) const REHEARSAL: &str = "rehearsal";
pub(crate) const LIVE: &str = "live";

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A check failed. The phase or the run that the refusal names has touched nothing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A phase failed and was rolled back.
    #[error(transparent)]
    RolledBack(#[from] Rollback),
    /// It is not known whether a phase was committed.
    #[error(transparent)]
    InDoubt(#[from] InDoubt),
    /// The pipeline returned `Ok` before every planned phase was performed.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

impl Error {
    /// Returns the invalid or failed row, if there is one.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        match self {
            Error::Refused(refusal) => refusal.row(),
            Error::RolledBack(rollback) => rollback.row(),
            Error::InDoubt(_) | Error::Incomplete(_) => None,
        }
    }

    /// Returns which check failed, if one did.
    ///
    /// ```
    /// # use phasegate::{*, error::RefusalReason};
    /// fn can_wait(error: &Error) -> bool {
    ///     matches!(
    ///         error.reason(),
    ///         Some(RefusalReason::Held { .. } | RefusalReason::SwitchOff { .. })
    ///     )
    /// }
    /// ```
    #[must_use]
    pub fn reason(&self) -> Option<&RefusalReason> {
        match self {
            Error::Refused(refusal) => Some(refusal.reason()),
            Error::RolledBack(_) | Error::InDoubt(_) | Error::Incomplete(_) => None,
        }
    }

    /// Returns the phase of the error; `None` if it is about the whole run.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        match self {
            Error::Refused(refusal) => refusal.phase(),
            Error::RolledBack(rollback) => Some(rollback.phase()),
            Error::InDoubt(doubt) => Some(doubt.phase()),
            Error::Incomplete(_) => None,
        }
    }
}

/// The pipeline returned `Ok` before every phase of the plan was performed.
///
/// The phases that were performed are committed. A pipeline that drops an error ends with this error too.
#[derive(Debug, thiserror::Error)]
#[error(
    "the pipeline stopped half way: of the plan's phases, performed and committed: {}; not performed: {}",
    list(.performed),
    list(.missing)
)]
pub struct Incomplete {
    performed: Vec<String>,
    missing: Vec<String>,
}

impl Incomplete {
    pub(crate) fn new(performed: Vec<String>, missing: Vec<String>) -> Self {
        Incomplete { performed, missing }
    }

    /// Returns the phases that are committed, in order.
    #[must_use]
    pub fn performed(&self) -> &[String] {
        &self.performed
    }

    /// Returns the phases of the plan that the pipeline did not perform, in order.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

fn ago(at: SystemTime) -> String {
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    format!("{seconds} s")
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        Listed::quoted(names, ", ").to_string()
    }
}

/// How a phase failed, inside the engine.
#[derive(Debug)]
pub enum PhaseError {
    Refused(Refusal),
    RolledBack(Rollback),
    InDoubt(InDoubt),
}

impl PhaseError {
    /// Returns why the phase was not performed, for observers.
    pub(crate) fn cause(&self) -> Cause<'_> {
        let (code, sqlstate) = match self {
            PhaseError::Refused(refusal) => (refusal.code(), None),
            PhaseError::RolledBack(rollback) => (
                rollback.cause().code(),
                rollback.failure().and_then(Failure::sqlstate),
            ),
            PhaseError::InDoubt(doubt) => (doubt.code(), None),
        };
        Cause {
            code,
            sqlstate: sqlstate.map(::postgres::error::SqlState::code),
        }
    }
}

impl From<Refusal> for PhaseError {
    fn from(refusal: Refusal) -> Self {
        PhaseError::Refused(refusal)
    }
}

impl From<Rollback> for PhaseError {
    fn from(rollback: Rollback) -> Self {
        PhaseError::RolledBack(rollback)
    }
}

impl From<InDoubt> for PhaseError {
    fn from(doubt: InDoubt) -> Self {
        PhaseError::InDoubt(doubt)
    }
}

/// An error of another crate, unchanged.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
