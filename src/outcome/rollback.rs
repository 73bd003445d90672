use std::error::Error as StdError;
use std::fmt;

use super::{ContentsDiffer, EffectsDiffer, Failure, InputRow, REHEARSAL};
use crate::base::canonical::NotCanonical;
use crate::base::printable::Printable;
use crate::kill_switch::{SwitchOff, SwitchUnreadable};

/// A phase was tried, failed, and was rolled back completely.
///
/// In a live run, its transaction was rolled back, or its session ended before the close was sent, which has the same
/// effect. In a dry run there was nothing to roll back; in a rehearsal the phase alone was rolled back, and the phases
/// before it are rolled back when the run ends.
///
/// Phases are performed in the plan's order, so every phase before this one is [committed](Rollback::committed), and
/// stays committed.
///
/// The message includes the cause, but not the server's DETAIL, which quotes values of rows.
/// [`source`](std::error::Error::source) is `None`, so that a printed chain of causes does not repeat it.
/// [`failure`](Rollback::failure) has the error as a value.
#[derive(Debug)]
pub struct Rollback {
    phase: String,
    committed: Vec<String>,
    mode: &'static str,
    cause: Box<RollbackCause>,
}

/// Why a phase was rolled back. One variant for each reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum RollbackCause {
    /// The adapter, or the simulator, returned an error.
    Failed(Failure),
    /// The output cannot be encoded and read back.
    Output(NotCanonical),
    /// The kill switch was turned OFF while the phase was being performed.
    SwitchOff(SwitchOff),
    /// The program has stopped the run, by [`StopHandle::stop`](crate::runner::StopHandle::stop), with this reason.
    Stopped(String),
    /// The lease of the database's kill switch ended while the phase was being performed.
    LeaseOver,
    /// The phase was not finished within [`Timeouts::phase`](crate::Timeouts::phase).
    TimeOver,
    /// The kill switch could not be read again before the commit.
    SwitchUnreadable(SwitchUnreadable),
    /// A statement or a row had failed, and the adapter returned `Ok` in spite of that.
    Swallowed {
        /// The server's message for that statement, if the engine has it.
        statement: Option<String>,
    },
    /// The adapter was about to send a statement that the plan does not have. It was not sent.
    StatementNotPlanned {
        /// The text of the statement.
        statement: String,
    },
    /// The adapter caught a panic inside a savepoint, and returned `Ok`: the savepoint was never rolled back.
    SavepointLeftOpen,
    /// The connection was lost while the phase was being performed, and the adapter returned `Ok` in spite of that.
    ConnectionLost,
    /// The server refused the close: a deferred constraint, the interlock, or the commit itself.
    CommitRefused(Failure),
    /// The effects differ from the plan, as the server counted them, with those of triggers and functions: other
    /// tables, or more or fewer rows than the tolerance allows.
    EffectsDiffer(EffectsDiffer),
    /// On a table that is guarded [by contents](crate::schema::Guard::Contents), the phase changed a column that the plan
    /// does not name, or wrote other values than the plan binds.
    ContentsDiffer(ContentsDiffer),
    /// The transaction had been ended from within before the close, and the interlock prevented its commit. Statements
    /// of the adapter *after* that were not part of the phase; on guarded tables they were refused.
    EndedFromWithin(Failure),
    /// There was no response to the close; it has been resolved since as rolled back, and can never be committed.
    NotCommitted {
        /// The error in place of a response.
        said: Failure,
    },
}

impl Rollback {
    pub(crate) fn new(phase: &str, mode: &'static str, cause: RollbackCause) -> Self {
        Rollback {
            phase: phase.to_owned(),
            committed: Vec::new(),
            mode,
            cause: Box::new(cause),
        }
    }

    pub(crate) fn after(mut self, committed: Vec<String>) -> Self {
        self.committed = committed;
        self
    }

    /// Returns the phase that was rolled back.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// Returns the phases of the run that are committed, in order.
    #[must_use]
    pub fn committed(&self) -> &[String] {
        &self.committed
    }

    /// Returns why the phase was rolled back.
    #[must_use]
    pub fn cause(&self) -> &RollbackCause {
        &self.cause
    }

    /// Returns the failure, if the adapter, the simulator, or the server at the close reported one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match &*self.cause {
            RollbackCause::Failed(failure)
            | RollbackCause::CommitRefused(failure)
            | RollbackCause::EndedFromWithin(failure)
            | RollbackCause::NotCommitted { said: failure } => Some(failure),
            _ => None,
        }
    }

    /// Returns the failed row, if there is one.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        self.failure().and_then(Failure::row)
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phase `{}` ({}) ", self.phase, self.mode)?;
        match &*self.cause {
            RollbackCause::Failed(failure) => match failure.row() {
                Some(_) => write!(f, "failed at {failure}"),
                None => write!(f, "failed: {failure}"),
            },
            RollbackCause::Output(error) => {
                write!(f, "returned an output that cannot be stored: {error}")
            }
            RollbackCause::SwitchOff(switch) => write!(f, "was stopped: {switch}"),
            RollbackCause::Stopped(why) => {
                write!(f, "was stopped by the program: {}", Printable(why))
            }
            RollbackCause::LeaseOver => {
                f.write_str("was stopped: the lease of the kill switch is over")
            }
            RollbackCause::TimeOver => f.write_str("was ended: its time was over"),
            RollbackCause::SwitchUnreadable(error) => write!(f, "was stopped: {error}"),
            RollbackCause::Swallowed { statement } => {
                f.write_str("returned Ok although something had failed")?;
                match statement {
                    Some(statement) => write!(f, ": {statement}"),
                    None => Ok(()),
                }
            }
            RollbackCause::StatementNotPlanned { statement } => write!(
                f,
                "was about to send a statement that its plan does not have, and that was not sent: `{}`",
                Printable(statement)
            ),
            RollbackCause::SavepointLeftOpen => {
                f.write_str("returned Ok although a panic had left one of its savepoints open")
            }
            RollbackCause::ConnectionLost => {
                f.write_str("lost its connection before the commit was sent")
            }
            RollbackCause::CommitRefused(failure) => {
                let would = if self.mode == REHEARSAL {
                    "would have been"
                } else {
                    "was"
                };
                write!(f, "{would} refused by the server at the commit: {failure}")
            }
            RollbackCause::EffectsDiffer(differ) => {
                return write!(
                    f,
                    "did not do what was planned; nothing of it remains{}\n{differ}",
                    before(&self.committed)
                );
            }
            RollbackCause::ContentsDiffer(differ) => {
                return write!(
                    f,
                    "did not write what was rehearsed; nothing of it remains{}\n{differ}",
                    before(&self.committed)
                );
            }
            RollbackCause::EndedFromWithin(failure) => {
                write!(f, "had its transaction ended from within: {failure}")
            }
            RollbackCause::NotCommitted { said } => {
                write!(
                    f,
                    "was not committed: there was no response to its close ({said}), and it is resolved"
                )
            }
        }?;
        write!(f, "; nothing of it remains{}", before(&self.committed))
    }
}

fn before(committed: &[String]) -> String {
    match committed {
        [] => String::new(),
        before => format!(", and committed before it: {}", super::list(before)),
    }
}

impl StdError for Rollback {}
