use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::attempted::Attempted;
use super::{BoxError, Committed};
use crate::base::digest::Digest;
use crate::plan::Target;

/// Whether a phase was committed is not known.
///
/// The close was sent, no usable answer came, and within the time that was given for it the matter
/// could not be resolved. The run refuses further phases, and its result is this value whatever the
/// pipeline returns. Resolve it: in the run with [`Run::resolve`](crate::Run::resolve), after it with
/// [`resolve`](InDoubt::resolve), or by running the same plan again, which performs what was not
/// committed and nothing else.
#[derive(Debug, Clone)]
#[must_use = "a commit in doubt has to be resolved before anything else is done"]
pub struct InDoubt {
    phase: String,
    attempt: Box<Attempted>,
    source: Arc<dyn StdError + Send + Sync>,
}

/// What became of a phase that was in doubt. It is final: what was rolled back can never be
/// committed late.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it says whether the phase was committed"]
pub enum Resolution {
    /// It was committed.
    Committed(Box<Committed>),
    /// It was rolled back, and its nonce is claimed, so that it stays so.
    RolledBack,
}

/// A commit in doubt could not be resolved now. It is still in doubt.
#[derive(Debug, thiserror::Error)]
#[error("phase `{phase}` is still in doubt: {}", super::message_of(&**.said))]
pub struct ResolveError {
    phase: String,
    said: BoxError,
}

impl ResolveError {
    pub(crate) fn new(phase: &str, said: BoxError) -> Self {
        ResolveError {
            phase: phase.to_owned(),
            said,
        }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "still_in_doubt"
    }

    /// Returns the server's HINT, or else when to try again.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        super::server_hint(&*self.said).or_else(|| {
            let again = "Do not repeat it by hand. Call `InDoubt::resolve` again once the server answers, or run the same plan again.";
            Some(again.to_owned())
        })
    }
}

impl InDoubt {
    pub(crate) fn new(phase: &str, attempt: Attempted, source: impl Into<BoxError>) -> Self {
        InDoubt {
            phase: phase.to_owned(),
            attempt: Box::new(attempt),
            source: Arc::from(source.into()),
        }
    }

    /// The phase that may or may not have been committed.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// Returns what came in place of an answer: an error of the driver, or of the server.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// The database.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.attempt.target
    }

    /// The plan that the phase is of.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.attempt.plan
    }

    /// What makes this attempt this one: the journal has it if, and only if, it was committed.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.attempt.nonce
    }

    /// The server's 64-bit transaction id, as `pg_current_xact_id()` printed it. Evidence, and not
    /// the judge: after the promotion of a standby it may be that of another transaction.
    #[must_use]
    pub fn xid(&self) -> &str {
        &self.attempt.xid
    }

    /// The timeline that the server was on when the transaction was opened.
    #[must_use]
    pub fn timeline(&self) -> &str {
        &self.attempt.timeline
    }

    /// The process id of the server's backend.
    #[must_use]
    pub fn backend_pid(&self) -> i32 {
        self.attempt.backend_pid
    }

    /// When that backend started: process ids are used again.
    #[must_use]
    pub fn backend_start(&self) -> &str {
        &self.attempt.backend_start
    }

    /// When the phase was opened, by the server's clock.
    #[must_use]
    pub fn opened_at(&self) -> &str {
        &self.attempt.opened_at
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "phase `{}` is IN DOUBT: the commit was sent and no usable answer came ({})",
            self.phase,
            super::describe(&*self.source),
        )
    }
}

impl StdError for InDoubt {}
