use std::fmt;

use ::postgres::error::SqlState;
use ::postgres::{Client, Transaction};
use serde::Deserialize;

use crate::authority::EvidenceDigests;
use crate::base::digest::Digest;
use crate::outcome::{
    BoxError, CommitEvidence, Committed, Durability, message_of, server_hint, sqlstate_of,
};
use crate::plan::{Effects, ProgramIdentity, Target};

/// An approval that a phase has spent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SpentApproval {
    /// The name of the gate that was approved.
    pub gate: String,
    /// The name of the approver.
    pub approver: String,
    /// Distinguishes this approval from any other: an approval is admitted once by its nonce.
    pub nonce: String,
    /// When the approval would have expired, by the server's clock.
    pub expires: String,
    /// The approver's comment.
    pub comment: String,
    /// The digests of the signed evidence, which is kept once, with the approval; `None` if the approval is unsigned.
    pub digests: Option<EvidenceDigests>,
}

/// The journal's record of one committed phase. The server writes it in the transaction of the phase itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The digest of the plan.
    pub plan: Digest,
    /// The name of the pipeline.
    pub pipeline: String,
    /// The phase's place in the plan, counted from 1.
    pub place: u32,
    /// The name of the phase.
    pub phase: String,
    /// The digest of the phase's input.
    pub input: Digest,
    /// The phase's output, as canonical JSON.
    pub output: String,
    /// The approvals that the phase has spent.
    pub approvals: Vec<SpentApproval>,
    /// The changes that the phase made to each table, as the server itself counted them, including those of triggers
    /// and functions.
    pub effects: Effects,
    /// Distinguishes this attempt from any other.
    pub nonce: String,
    /// The server's 64-bit transaction id.
    pub xid: String,
    /// The system identifier of the cluster.
    pub system_identifier: String,
    /// The timeline of the cluster.
    pub timeline: String,
    /// The name of the database.
    pub database: String,
    /// The role that performed the phase.
    pub role: String,
    /// The client's address, or `local` for a Unix socket.
    pub from: String,
    /// The `application_name` of the session.
    pub application_name: String,
    /// The process id of the server's backend.
    pub backend_pid: i32,
    /// When that backend started.
    pub backend_start: String,
    /// The epoch of the kill switch in which the phase was performed.
    pub epoch: i64,
    /// When the phase was opened, by the server's clock.
    pub opened_at: String,
    /// When the phase was finished, which is just before its commit.
    pub finished_at: String,
    /// What the program that performed the phase said of itself; `None` if it said nothing.
    #[serde(default)]
    pub program: Option<ProgramIdentity>,
}

/// A row of the journal as it is stored: the hashed text, and the hash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct StoredEntry {
    pub(crate) body: String,
    pub(crate) hash: Digest,
}

impl StoredEntry {
    pub(crate) fn read(&self) -> Result<JournalEntry, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}

/// The journal of one plan, as it is stored.
///
/// Reading it requires a member of `phasegate_auditor`. [`verify`](Journal::verify) recomputes the chain here, from
/// the stored text, and trusts no computation of the server.
///
/// The chain is over text, so that `sha256sum` and a shell can recompute it too. It begins with the
/// SHA-256 of `phasegate/journal/1 `, followed by the plan's digest; each row's hash is the SHA-256
/// of the hash before it, a space, and the SHA-256 of the row's text, the hashes as lower-case
/// hexadecimal digits. The last one is kept outside the journal.
#[derive(Debug, Clone)]
pub struct Journal {
    plan: Digest,
    entries: Vec<(i32, StoredEntry)>,
    /// The number of committed phases, and the hash of the last one, both stored outside the journal.
    committed: i32,
    head: Digest,
}

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The plan was never admitted in this database.
    #[error("the journal cannot be read: plan {0} was never admitted in this database")]
    NoSuchPlan(Digest),
    /// The server refused the query, or its response is malformed.
    #[error("the journal cannot be read: {}", message_of(&**.0))]
    Database(BoxError),
}

impl JournalError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            JournalError::NoSuchPlan(_) => "journal_no_such_plan",
            JournalError::Database(_) => "journal_not_read",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            JournalError::NoSuchPlan(_) => Some(NO_SUCH_PLAN.to_owned()),
            JournalError::Database(error) => auditor_hint(error),
        }
    }
}

/// The remedy where a plan is unknown.
pub(crate) const NO_SUCH_PLAN: &str =
    "Compare the digest with that of the plan, and connect to the database that it names.";

/// Returns the server's HINT; for a role that is not an auditor, how to make it one.
pub(crate) fn auditor_hint(error: &BoxError) -> Option<String> {
    server_hint(&**error).or_else(|| {
        let denied = sqlstate_of(&**error) == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
        let grant = "Connect as a member of `phasegate_auditor`: GRANT phasegate_auditor TO role.";
        denied.then(|| grant.to_owned())
    })
}

/// The rows of the journal do not form its chain: the journal was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenChain {
    place: u32,
    why: String,
}

impl BrokenChain {
    pub(crate) fn new(place: u32, why: &str) -> Self {
        let why = why.to_owned();
        BrokenChain { place, why }
    }

    /// Returns the place of the first row that does not fit, counted from 1.
    #[must_use]
    pub fn place(&self) -> u32 {
        self.place
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "broken_chain"
    }

    /// Returns which rows can no longer be trusted.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = "What the journal says from that row on is no evidence. Compare it with a backup, and look at who could write it.";
        Some(hint.to_owned())
    }
}

impl fmt::Display for BrokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the journal was changed: row {} {}",
            self.place, self.why
        )
    }
}

impl std::error::Error for BrokenChain {}

impl JournalEntry {
    /// Returns the commit that the row with this hash records.
    pub(crate) fn committed(&self, hash: Digest, how: CommitEvidence) -> Committed {
        Committed {
            target: Target::new(&*self.system_identifier, &*self.database, &*self.role),
            xid: self.xid.clone(),
            timeline: self.timeline.clone(),
            nonce: self.nonce.clone(),
            place: self.place,
            hash,
            durability: Durability::Unknown,
            how,
        }
    }
}

/// Counts the phases of a plan that the journal has and this role may see.
pub(crate) fn count_journalled(
    client: &mut Client,
    plan: Digest,
) -> Result<i64, ::postgres::Error> {
    client
        .query_one(
            "SELECT pg_catalog.count(*) FROM phasegate.journal_of($1)",
            &[&plan.as_bytes().as_slice()],
        )?
        .try_get(0)
}

impl Journal {
    /// Reads the journal of the plan with this digest.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is unknown, or the server refuses it.
    pub fn read(client: &mut Client, plan: Digest) -> Result<Self, JournalError> {
        // In one snapshot: a phase that is committed meanwhile is in both results or in neither.
        let tx = client
            .build_transaction()
            .isolation_level(::postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        let foreign = |error: ::postgres::Error| JournalError::Database(error.into());
        Journal::read_in(&mut tx.map_err(foreign)?, plan)
    }

    /// Reads the journal in `tx`, which has to read one snapshot.
    pub(crate) fn read_in(tx: &mut Transaction<'_>, plan: Digest) -> Result<Self, JournalError> {
        let foreign = |error: ::postgres::Error| JournalError::Database(error.into());
        let key = plan.as_bytes().as_slice();
        let run = tx
            .query_opt(
                "SELECT committed, head FROM phasegate.run WHERE plan OPERATOR(pg_catalog.=) $1",
                &[&key],
            )
            .map_err(foreign)?
            .ok_or(JournalError::NoSuchPlan(plan))?;
        let rows = tx
            .query(
                "SELECT position, body, hash FROM phasegate.journal \
                 WHERE plan OPERATOR(pg_catalog.=) $1 ORDER BY position",
                &[&key],
            )
            .map_err(foreign)?;
        let digest = |bytes: &[u8]| {
            Digest::from_bytes(bytes)
                .ok_or_else(|| JournalError::Database("a hash is not 32 bytes".into()))
        };
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let hash = digest(row.try_get(2).map_err(foreign)?)?;
            let body = row.try_get(1).map_err(foreign)?;
            entries.push((row.try_get(0).map_err(foreign)?, StoredEntry { body, hash }));
        }
        let head = digest(run.try_get(1).map_err(foreign)?)?;
        let committed = run.try_get(0).map_err(foreign)?;
        Ok(Journal {
            plan,
            entries,
            committed,
            head,
        })
    }

    /// Returns the hash of the last row, as it is stored outside the journal. A copy of it that is kept elsewhere
    /// reveals whether rows were cut off, or the whole journal was rewritten.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }

    /// Returns the texts that were hashed, in order, each with the hash that is stored with it.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (&str, Digest)> {
        let entries = self.entries.iter();
        entries.map(|(_, entry)| (&*entry.body, entry.hash))
    }

    /// Returns the text of the row at `place`, counted from 0.
    pub(crate) fn stored_at(&self, place: usize) -> Option<&str> {
        self.entries.get(place).map(|(_, entry)| &*entry.body)
    }

    /// Returns the hash that the chain begins with.
    pub(crate) fn first_head(plan: Digest) -> Digest {
        Digest::of(format!("phasegate/journal/1 {plan}").as_bytes())
    }

    /// Recomputes the chain, and returns its entries, in order.
    ///
    /// # Errors
    ///
    /// Returns a [`BrokenChain`] with the place of the first row that does not fit: one that was changed, added,
    /// removed or moved, at the end of the journal too.
    pub fn verify(&self) -> Result<Vec<JournalEntry>, BrokenChain> {
        let mut chain = Journal::first_head(self.plan);
        let mut verified = Vec::with_capacity(self.entries.len());
        for (place, (stored_place, entry)) in (1_u32..).zip(&self.entries) {
            let broken = |why| BrokenChain::new(place, why);
            if i64::from(*stored_place) != i64::from(place) {
                return Err(broken("is missing"));
            }
            let body = Digest::of(entry.body.as_bytes());
            chain = Digest::of(format!("{chain} {body}").as_bytes());
            if chain != entry.hash {
                return Err(broken(
                    "does not have the hash that it and the rows before it make",
                ));
            }
            let read = entry
                .read()
                .map_err(|_| broken("is not an entry of a journal"))?;
            if read.plan != self.plan || read.place != place {
                return Err(broken("is that of another plan or place"));
            }
            verified.push(read);
        }
        let after = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if i64::from(self.committed) > i64::from(after) {
            return Err(BrokenChain::new(after + 1, "is missing"));
        }
        if i64::from(self.committed) < i64::from(after) || chain != self.head {
            return Err(BrokenChain::new(
                after.max(1),
                "is not what the run, which keeps the chain's head, says is the last",
            ));
        }
        Ok(verified)
    }
}
