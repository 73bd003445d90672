//! The results of admitting a plan or a rejection.

use std::fmt;
use std::time::SystemTime;

use ::postgres::Row;

use crate::base::digest::Digest;
use crate::base::timestamp::Timestamp;
use crate::outcome::BlockingSession;

/// The state of a plan when it was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a plan that was performed before is not performed again, and this says so"]
#[non_exhaustive]
pub enum PlanAdmission {
    /// The plan was not admitted before.
    New,
    /// The plan was not admitted before; another one with the same change was performed. A run of this one does the same
    /// again.
    Recurring {
        /// The digest of that plan.
        before: Digest,
        /// When the last of its phases was committed, by the server's clock.
        at: SystemTime,
    },
    /// The plan was admitted before, and some of its phases are not committed yet.
    Unfinished {
        /// When the plan was admitted first, by the server's clock.
        admitted_at: SystemTime,
        /// The number of its committed phases.
        committed: usize,
        /// The number of all its phases.
        phases: usize,
    },
    /// All phases of the plan are committed: a run of it changes nothing.
    Performed {
        /// When the last of its phases was committed, by the server's clock.
        at: SystemTime,
    },
}

impl PlanAdmission {
    pub(super) fn read(row: &Row) -> Result<Self, ::postgres::Error> {
        let phases: i64 = row.try_get("phases")?;
        let committed: i32 = row.try_get("committed")?;
        let last: Option<SystemTime> = row.try_get("last_committed_at")?;
        Ok(match last {
            Some(at) if i64::from(committed) == phases => PlanAdmission::Performed { at },
            _ => PlanAdmission::Unfinished {
                admitted_at: row.try_get("admitted_at")?,
                committed: usize::try_from(committed).unwrap_or_default(),
                phases: usize::try_from(phases).unwrap_or_default(),
            },
        })
    }
}

impl PlanAdmission {
    /// Reads that another plan with the same change was performed.
    pub(super) fn recurring(row: &Row) -> Result<Self, ::postgres::Error> {
        Ok(PlanAdmission::Recurring {
            before: Digest::from_bytes(row.try_get("plan")?).unwrap_or_else(|| Digest::of(b"")),
            at: row.try_get("committed_at")?,
        })
    }
}

impl fmt::Display for PlanAdmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanAdmission::New => f.write_str("the plan is admitted"),
            PlanAdmission::Recurring { before, at } => write!(
                f,
                "the plan is admitted; the same change was committed at {} under plan {before}, and a run does it again",
                Timestamp::of(*at)
            ),
            PlanAdmission::Unfinished {
                admitted_at,
                committed,
                phases,
            } => write!(
                f,
                "the plan was admitted at {} already; {committed} of its {phases} phases are committed",
                Timestamp::of(*admitted_at)
            ),
            PlanAdmission::Performed { at } => write!(
                f,
                "the plan was performed at {}: a run of it changes nothing. To do the same again, make a plan with another \
                 occasion",
                Timestamp::of(*at)
            ),
        }
    }
}

/// A rejection is admitted; the variant tells whether the last commit whose checks had passed before has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a commit may still be in flight"]
pub enum Rejected {
    /// No phase of the plan commits any more: every commit that had passed its check has ended.
    Drained,
    /// No further check passes. These sessions had passed their checks before, for this plan or for others, and have
    /// not ended within the given time. Empty if the server could not be asked for them.
    Pending(Vec<BlockingSession>),
}
