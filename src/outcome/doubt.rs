use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Foreign;
use crate::plan::Target;

/// The transaction of a phase that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub(crate) target: Target,
    pub(crate) transaction: Transaction,
}

impl Committed {
    /// The database that it was committed in.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The server's 64-bit transaction id, as `pg_current_xact_id()` prints it.
    #[must_use]
    pub fn xid(&self) -> &str {
        &self.transaction.xid
    }

    /// The timeline that the server was on, as eight hexadecimal digits: it changes when a standby
    /// is promoted, and transaction ids mean something on one timeline only.
    #[must_use]
    pub fn timeline(&self) -> &str {
        &self.transaction.timeline
    }
}

/// What identifies a transaction to the server, taken when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) xid: String,
    pub(crate) timeline: String,
    pub(crate) backend_pid: i32,
    pub(crate) backend_start: String,
}

/// Whether a phase was committed is not known.
///
/// The close was sent, and no usable answer came. The run refuses further phases, and its result is
/// this value whatever the pipeline answers.
///
/// What is known of the transaction is here, so that it can be asked about: on the same
/// [`target`](InDoubt::target) and [`timeline`](InDoubt::timeline), and once the backend
/// `backend_pid` started at `backend_start` has ended, `pg_xact_status(xid)` answers `committed` or
/// `aborted`. Never perform the phase again on a guess.
#[derive(Debug, Clone)]
#[must_use = "a commit in doubt has to be settled before anything else is done"]
pub struct InDoubt {
    phase: String,
    reason: DoubtReason,
    place: Box<Committed>,
    source: Arc<dyn StdError + Send + Sync>,
}

/// Why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoubtReason {
    /// No answer, or a fatal one, came to the close.
    NoAnswer,
    /// The transaction that the close met was not the one that was opened.
    AnotherTransaction,
}

impl InDoubt {
    pub(crate) fn new(
        phase: &str,
        reason: DoubtReason,
        place: Committed,
        source: impl Into<Foreign>,
    ) -> Self {
        InDoubt {
            phase: phase.to_owned(),
            reason,
            place: Box::new(place),
            source: Arc::from(source.into()),
        }
    }

    /// The phase that may or may not have been committed.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// The database.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.place.target
    }

    /// The server's 64-bit transaction id, as `pg_current_xact_id()` printed it.
    #[must_use]
    pub fn xid(&self) -> &str {
        self.place.xid()
    }

    /// The timeline that the server was on when the transaction was opened.
    #[must_use]
    pub fn timeline(&self) -> &str {
        self.place.timeline()
    }

    /// The process id of the server's backend.
    #[must_use]
    pub fn backend_pid(&self) -> i32 {
        self.place.transaction.backend_pid
    }

    /// When that backend started, as `pg_stat_activity.backend_start` prints it: process ids are
    /// used again.
    #[must_use]
    pub fn backend_start(&self) -> &str {
        &self.place.transaction.backend_start
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InDoubt { phase, place, .. } = self;
        let source = super::describe(&*self.source);
        write!(f, "phase `{phase}` is IN DOUBT: ")?;
        match self.reason {
            DoubtReason::NoAnswer => {
                write!(
                    f,
                    "the commit was sent and no usable answer came ({source})"
                )
            }
            DoubtReason::AnotherTransaction => write!(
                f,
                "its transaction had been ended from within before the close ({source}), and what was ended may have been committed"
            ),
        }?;
        write!(
            f,
            ". Do not repeat it. On {}, timeline {}, once backend {} of {} has ended, `SELECT pg_xact_status('{}')` says whether it was committed",
            place.target,
            place.timeline(),
            place.transaction.backend_pid,
            place.transaction.backend_start,
            place.xid()
        )
    }
}

impl StdError for InDoubt {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
