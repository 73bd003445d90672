use std::error::Error as StdError;
use std::fmt;

use super::{EffectsDiffer, Failure, InputRow, REHEARSAL};
use crate::base::canonical::NotCanonical;
use crate::base::printable::Printable;
use crate::kill_switch::{SwitchOff, SwitchUnreadable};

/// A phase was tried, failed, and left nothing behind.
///
/// Live, its transaction was rolled back, or its session ended without the close ever having been
/// sent, which is the same to the server. In a dry run there was nothing to roll back; in a rehearsal
/// it was taken back by itself, and the phases before it are taken back when the run ends.
///
/// Phases are performed in the plan's order, so every phase before this one is
/// [committed](Rollback::committed), and stays so.
///
/// Its message holds what caused it, without the server's DETAIL, which quotes values of rows; so
/// [`source`](std::error::Error::source) is `None`, and a chain of causes says nothing twice.
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
    /// The adapter, or the simulator, said so.
    Failed(Failure),
    /// What it left cannot be kept and read back.
    Output(NotCanonical),
    /// The kill switch was turned OFF while the phase was being performed.
    SwitchOff(SwitchOff),
    /// The program has stopped the run, with this reason: [`StopHandle::stop`](crate::runner::StopHandle::stop).
    Stopped(String),
    /// The lease of the database's kill switch ended while the phase was being performed.
    LeaseOver,
    /// It was not done in the time that [`Timeouts::phase`](crate::Timeouts::phase) gives it.
    TimeOver,
    /// The kill switch could not be read again before the commit.
    SwitchUnreadable(SwitchUnreadable),
    /// A statement or a row had failed, and the adapter returned `Ok` all the same.
    Swallowed {
        /// What the server had said to that statement, if the engine saw it.
        statement: Option<String>,
    },
    /// A panic inside a savepoint was caught by the adapter, which returned `Ok`: what was done in
    /// the savepoint was never taken back.
    SavepointLeftOpen,
    /// The connection was lost while the phase was being performed, and the adapter returned `Ok`
    /// all the same.
    ConnectionLost,
    /// The server refused the close: a deferred constraint, the interlock, or the commit itself.
    CommitRefused(Failure),
    /// It did not do what was planned, by the server's own count, with what triggers and functions did:
    /// other tables, or more or fewer rows than its tolerance allows.
    EffectsDiffer(EffectsDiffer),
    /// The transaction had been ended from within before the close, and the interlock kept it from
    /// being committed. What the adapter did *after* that was no part of the phase; on tables under
    /// guard it was refused.
    EndedFromWithin(Failure),
    /// The close was not answered; it was resolved since as rolled back, and can never be committed.
    NotCommitted {
        /// What came instead of an answer.
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

    /// The phase that left nothing behind.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// The phases of the run that are committed, in order.
    #[must_use]
    pub fn committed(&self) -> &[String] {
        &self.committed
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> &RollbackCause {
        &self.cause
    }

    /// The failure, if one was reported: the adapter, the simulator, or the server at the
    /// close.
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

    /// The row that is to blame, if one is.
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
                write!(f, "left an output that cannot be kept: {error}")
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
                f.write_str("answered Ok although something had failed")?;
                match statement {
                    Some(statement) => write!(f, ": {statement}"),
                    None => Ok(()),
                }
            }
            RollbackCause::SavepointLeftOpen => {
                f.write_str("answered Ok although a panic had left one of its savepoints open")
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
            RollbackCause::EndedFromWithin(failure) => {
                write!(f, "had its transaction ended from within: {failure}")
            }
            RollbackCause::NotCommitted { said } => {
                write!(
                    f,
                    "was not committed: its close got no answer ({said}), and the matter is resolved"
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
