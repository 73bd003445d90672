use super::attempted::Attempted;
use crate::base::digest::Digest;
use crate::plan::Target;

/// A committed transaction of a phase, and its row in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub(crate) target: Target,
    pub(crate) xid: String,
    pub(crate) timeline: String,
    pub(crate) nonce: String,
    pub(crate) place: u32,
    pub(crate) hash: Digest,
    pub(crate) durability: Durability,
    pub(crate) how: CommitEvidence,
}

/// How durable a commit is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// As durable as the server's settings for the session demand: on its own disk, and on synchronous standbys if
    /// there are any.
    AsConfigured,
    /// On the server's own disk only: the server stopped waiting for a synchronous standby, with this warning. If the
    /// server is lost before the standby has the commit, the commit is lost too.
    LocalOnly(String),
    /// Not known: the server's response was lost, and the journal tells only that the phase was committed.
    Unknown,
}

/// How it is known that a phase is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitEvidence {
    /// The server confirmed the commit in its response.
    Answered,
    /// The response was lost; the journal has the phase.
    Resolved,
    /// An earlier or concurrent run of the same plan had committed the phase already.
    Before,
}

impl Committed {
    pub(crate) fn answered(attempt: &Attempted, hash: Digest, warnings: &[String]) -> Self {
        // The server's message when it stops waiting for a standby; its code (01000) is that of any warning.
        let local = warnings.iter().find(|warning| {
            warning.contains("synchronous replication") || warning.contains("synchronous standby")
        });
        Committed {
            target: attempt.target.clone(),
            xid: attempt.xid.clone(),
            timeline: attempt.timeline.clone(),
            nonce: attempt.nonce.clone(),
            place: attempt.place,
            hash,
            durability: match local {
                Some(warning) => Durability::LocalOnly(warning.clone()),
                None => Durability::AsConfigured,
            },
            how: CommitEvidence::Answered,
        }
    }

    /// Returns the database in which the phase was committed.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the server's 64-bit transaction id, as `pg_current_xact_id()` prints it.
    #[must_use]
    pub fn xid(&self) -> &str {
        &self.xid
    }

    /// Returns the timeline that the server was on, as eight hexadecimal digits: it changes when a standby is
    /// promoted, and a transaction id is meaningful on one timeline only. Where the service does not reveal the
    /// timeline (Amazon Aurora), returns `started` and the second since 1970 at which the server process began.
    #[must_use]
    pub fn timeline(&self) -> &str {
        &self.timeline
    }

    /// Returns the nonce of the attempt, which is unique in the journal.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Returns the phase's place in the plan, and so its position in the plan's journal, counted from 1.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Returns the hash of the phase's row in the journal, which covers every row before it.
    #[must_use]
    pub fn journal_hash(&self) -> Digest {
        self.hash
    }

    /// Returns how durable the commit is.
    #[must_use]
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// Returns how the commit is known.
    #[must_use]
    pub fn evidence(&self) -> CommitEvidence {
        self.how
    }
}
