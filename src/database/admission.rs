//! What an operator hears who admits a plan or a rejection.

use std::fmt;
use std::time::SystemTime;

use ::postgres::Row;

use crate::base::timestamp::Timestamp;
use crate::outcome::BlockingSession;

/// What was known of a plan when it was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a plan that was performed before is not performed again, and this says so"]
#[non_exhaustive]
pub enum PlanAdmission {
    /// It was not admitted before.
    New,
    /// It was admitted before, and some of its phases are still to be performed.
    Unfinished {
        /// When it was admitted, by the server's clock.
        admitted_at: SystemTime,
        /// How many of its phases are committed.
        committed: usize,
        /// How many it has.
        phases: usize,
    },
    /// All of its phases are committed: a run of it changes nothing.
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

impl fmt::Display for PlanAdmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanAdmission::New => f.write_str("the plan is admitted"),
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
                "the plan was performed at {}: a run of it changes nothing. To do the same again, make another plan, \
                 with another input or author",
                Timestamp::of(*at)
            ),
        }
    }
}

/// A rejection is admitted. Whether the last commit whose checks had passed before has ended is what this says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a commit may still be in flight"]
pub enum Rejected {
    /// No phase of the plan commits any more: every commit that had been let through has ended.
    Drained,
    /// No check passes any more. These had passed before, of this plan or of others, and have not ended within the
    /// time that was given. Empty if the server could not be asked for them.
    Pending(Vec<BlockingSession>),
}
