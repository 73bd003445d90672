use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::attempted::Attempted;
use super::{BoxError, Committed};
use crate::base::digest::Digest;
use crate::plan::Target;

/// It is not known whether a phase was committed.
///
/// The close was sent, no usable response arrived, and the phase could not be resolved within
/// [`Timeouts::resolve`](crate::Timeouts::resolve). The run refuses further phases, and returns this value,
/// independently of the pipeline's own result. Resolve it in the run with [`Run::resolve`](crate::Run::resolve), after
/// the run with [`resolve`](InDoubt::resolve), or by running the same plan again, which performs only the phases that
/// were not committed.
#[derive(Debug, Clone)]
#[must_use = "a commit in doubt has to be resolved before anything else is done"]
pub struct InDoubt {
    phase: String,
    attempt: Box<Attempted>,
    source: Arc<dyn StdError + Send + Sync>,
}

/// The resolution of a phase that was in doubt. It is final: a phase that was rolled back can never be committed late.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it says whether the phase was committed"]
pub enum Resolution {
    /// The phase was committed.
    Committed(Box<Committed>),
    /// The phase was rolled back, and its nonce is claimed, so that it can never be committed.
    RolledBack,
}

/// An in-doubt commit could not be resolved now. It is still in doubt.
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

    /// Returns the phase that is in doubt.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// Returns the error in place of a response: of the driver, or of the server.
    #[must_use]
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Returns the database in which the phase was performed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.attempt.target
    }

    /// Returns the digest of the plan that the phase belongs to.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.attempt.plan
    }

    /// Returns the nonce of the attempt: the journal has it if, and only if, the phase was committed.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.attempt.nonce
    }

    /// Returns the server's 64-bit transaction id, as `pg_current_xact_id()` printed it. It is evidence, but not
    /// decisive: after the promotion of a standby another transaction may have the same id.
    #[must_use]
    pub fn xid(&self) -> &str {
        &self.attempt.xid
    }

    /// Returns the timeline that the server was on when the transaction was opened.
    #[must_use]
    pub fn timeline(&self) -> &str {
        &self.attempt.timeline
    }

    /// Returns the process id of the server's backend.
    #[must_use]
    pub fn backend_pid(&self) -> i32 {
        self.attempt.backend_pid
    }

    /// Returns when that backend started: process ids are reused.
    #[must_use]
    pub fn backend_start(&self) -> &str {
        &self.attempt.backend_start
    }

    /// Returns when the phase was opened, by the server's clock.
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
