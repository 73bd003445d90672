use super::attempted::Attempted;
use crate::base::digest::Digest;
use crate::plan::Target;

/// The transaction of a phase that was committed, and its row in the journal.
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

/// How far a commit has got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// As far as the server's settings for the session demand: to its own disk, and to synchronous
    /// standbys if there are any.
    AsConfigured,
    /// To the server's own disk only: it gave up waiting for a synchronous standby, and said this. If
    /// the server is lost before the standby has it, so is the commit.
    LocalOnly(String),
    /// Not known: the server's answer did not arrive, and the journal says only that it was committed.
    Unknown,
}

/// How it is known that a phase is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitEvidence {
    /// The server said so when it was asked to commit.
    Answered,
    /// The answer was lost; the journal said so.
    Resolved,
    /// An earlier run of the same plan, or another one, had committed it already.
    Before,
}

impl Committed {
    pub(crate) fn answered(attempt: &Attempted, hash: Digest, warnings: &[String]) -> Self {
        // What the server says when it gives up waiting for a standby; the code (01000) is any warning's.
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

    /// The database that it was committed in.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The server's 64-bit transaction id, as `pg_current_xact_id()` prints it.
    #[must_use]
    pub fn xid(&self) -> &str {
        &self.xid
    }

    /// The timeline that the server was on, as eight hexadecimal digits: it changes when a standby
    /// is promoted, and transaction ids mean something on one timeline only. Where the service does not
    /// tell it (Amazon Aurora), `started` and the second since 1970 at which the server process began.
    #[must_use]
    pub fn timeline(&self) -> &str {
        &self.timeline
    }

    /// What makes the attempt this one, in the journal.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Its place in the plan, and so its position in the plan's journal, counted from 1.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.place
    }

    /// The hash of its row in the journal, which covers every row before it.
    #[must_use]
    pub fn journal_hash(&self) -> Digest {
        self.hash
    }

    /// How far it has got.
    #[must_use]
    pub fn durability(&self) -> &Durability {
        &self.durability
    }

    /// How it is known.
    #[must_use]
    pub fn evidence(&self) -> CommitEvidence {
        self.how
    }
}
