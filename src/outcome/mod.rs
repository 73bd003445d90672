//! How a phase, and a run, can end.
//!
//! A live phase ends in one of four ways, and every error says which:
//!
//! | | what it means for the data | type |
//! |---|---|---|
//! | performed | committed | [`Receipt`](crate::Receipt) |
//! | refused | nothing was touched | [`Refusal`] |
//! | rolled back | tried, and nothing of it remains | [`Rollback`] |
//! | in doubt | the answer to the commit was lost, and the matter is not resolved yet | [`InDoubt`] |

mod approval_refusal;
mod attempted;
mod blocking_session;
mod code;
mod committed;
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

pub use approval_refusal::ApprovalRefusal;
pub(crate) use attempted::Attempted;
pub use blocking_session::BlockingSession;
pub use committed::{CommitEvidence, Committed, Durability};
pub use doubt::{InDoubt, Resolution, ResolveError};
pub use effects::{EffectsDiffer, TableDiffers};
pub use failure::{Failure, InputRow, Invalid};
pub(crate) use failure::{describe, message_of, server_hint, sqlstate_of};
pub(crate) use hint::Remedy;
pub use refusal::{Refusal, RefusalReason};
pub use rollback::{Rollback, RollbackCause};

/// The modes' names, for people.
pub(crate) const DRY_RUN: &str = "dry run";
pub(crate) const REHEARSAL: &str = "rehearsal";
pub(crate) const LIVE: &str = "live";

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A check failed. Nothing was touched by the phase, or the run, that it names.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A phase failed and left nothing behind.
    #[error(transparent)]
    RolledBack(#[from] Rollback),
    /// Whether a phase was committed is not known.
    #[error(transparent)]
    InDoubt(#[from] InDoubt),
    /// The pipeline returned `Ok` before every planned phase was performed.
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
}

impl Error {
    /// The row that is to blame, if one is.
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

    /// The phase that it is about, if it is about one.
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

/// The pipeline ended, and said so with `Ok`, before every phase of the plan was performed.
///
/// What was performed is committed. A pipeline that dropped a failure ends here too.
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

    /// The phases that are committed, in order.
    #[must_use]
    pub fn performed(&self) -> &[String] {
        &self.performed
    }

    /// The phases that the plan names and the pipeline did not perform, in order.
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

/// How performing one phase ended, inside the engine.
#[derive(Debug)]
pub enum PhaseError {
    Refused(Refusal),
    RolledBack(Rollback),
    InDoubt(InDoubt),
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

/// An error of another crate, kept as it came.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
