use std::fmt;
use std::time::{Duration, SystemTime};

use ::postgres::error::SqlState;
use ::postgres::types::{FromSql, ToSql};
use ::postgres::{Client, IsolationLevel, Row};

use super::admission::{PlanAdmission, Rejected};
use super::blocking_session;
use crate::authority::{Attestation, Evidence};
use crate::outcome::{BlockingSession, message_of, server_hint, sqlstate_of};
use crate::plan::Plan;

/// A wait that is practically unlimited, but within the range of the server's clock.
const FOR_EVER: Duration = Duration::from_hours(24 * 24);

/// A session of a member of `phasegate_operator`: it admits plans and approvals, and turns the kill switch on and off.
/// The role that performs phases is not a member, and can do none of this.
pub struct Operator {
    client: Client,
}

/// How many records [`Operator::housekeep`] has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Housekept {
    /// Attempts at phases, by which a commit in doubt is resolved.
    pub attempts: i64,
    /// Changes of the kill switch.
    pub switch_changes: i64,
    /// Counters of rows, of transactions that ended without deleting them.
    pub counters: i64,
}

/// The server refused an operator's request.
#[derive(Debug, thiserror::Error)]
#[error("the server did not {what}: {}", message_of(.error))]
pub struct OperatorError {
    what: &'static str,
    /// The remedy where the role lacks the privilege, and the server sends no HINT.
    on_denied: &'static str,
    error: ::postgres::Error,
}

impl OperatorError {
    pub(crate) fn new(what: &'static str, error: ::postgres::Error) -> Self {
        OperatorError {
            what,
            on_denied: "Connect as a member of `phasegate_operator`: GRANT phasegate_operator TO role.",
            error,
        }
    }

    pub(super) fn of_the_owner(what: &'static str, error: ::postgres::Error) -> Self {
        OperatorError {
            on_denied: "Connect as the owner of the table.",
            ..OperatorError::new(what, error)
        }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "operator_call_failed"
    }

    /// Returns the server's HINT; without one, and if the role lacks the privilege, which role has it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        server_hint(&self.error).or_else(|| {
            let denied = sqlstate_of(&self.error) == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
            denied.then(|| self.on_denied.to_owned())
        })
    }

    /// Returns the error of the server or the driver.
    #[must_use]
    pub fn error(&self) -> &::postgres::Error {
        &self.error
    }
}

/// The kill switch is OFF; the variant tells whether the last commit that had passed its check has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a commit may still be in flight"]
pub enum SwitchedOff {
    /// No later commit passes: every commit that had passed its check has ended.
    Drained,
    /// No further commit passes the check of the switch. These sessions had passed it before, and their commits have
    /// not ended within the given time. Empty if the server could not be asked for them.
    Pending(Vec<BlockingSession>),
}

/// The state of the kill switch of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SwitchStatus {
    /// Whether a phase may begin, and commit, now.
    pub on: bool,
    /// Why no phase may begin: the switch was turned off, its lease is over, or the cluster is on another timeline.
    pub refusal: Option<String>,
    /// The number of the current epoch; every turn of the switch begins a new one. A phase commits only in the epoch
    /// in which it began.
    pub epoch: i64,
    /// When the lease ends, by the server's clock; `None` if the switch was turned off.
    pub until: Option<SystemTime>,
    /// The role that turned the switch last.
    pub who: String,
    /// The reason that was given for the last turn.
    pub why: String,
    /// When the switch was turned last, by the server's clock.
    pub at: SystemTime,
    /// The phases that are open.
    pub phases: Vec<BlockingSession>,
    /// Whether it is certain that no commit is in progress and none can begin: the switch is off, and the lock that
    /// every commit shares was free. `false` if that is not known.
    pub drained: bool,
}

impl Operator {
    /// Creates an operator that works through this session.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Operator { client }
    }

    /// Admits a plan, so that its phases can be opened. The server reads the bytes of the plan itself. Admitting the
    /// plan again changes nothing. The result tells whether the plan was admitted before, whether it was
    /// performed (a plan is performed once), and whether another plan with the same change was performed.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is for another database, if the role that the plan names cannot perform it, if a
    /// definition that its statements use has changed since the rehearsal, or if the call fails.
    pub fn admit_plan(&mut self, plan: &Plan) -> Result<PlanAdmission, OperatorError> {
        let what = "admit the plan";
        let failed = |source| OperatorError::new(what, source);
        let progress = "SELECT admitted_at, phases, committed, last_committed_at FROM phasegate.progress_of($1)";
        let before = self
            .client
            .query_opt(progress, &[&plan.digest().as_bytes().as_slice()])
            .and_then(|row| row.as_ref().map(PlanAdmission::read).transpose())
            .map_err(failed)?;
        self.call(what, "SELECT phasegate.admit_plan($1)", &[&plan.bytes()])?;
        if let Some(before) = before {
            return Ok(before);
        }
        let same_change = "SELECT plan, committed_at FROM phasegate.same_change($1)";
        let recurring = self
            .client
            .query_opt(same_change, &[&plan.digest().as_bytes().as_slice()])
            .and_then(|row| row.as_ref().map(PlanAdmission::recurring).transpose())
            .map_err(failed)?;
        Ok(recurring.unwrap_or(PlanAdmission::New))
    }

    /// Admits an approval, so that it can be spent: once for each phase of its plan that is behind its gate. The
    /// caller has verified the approval. Admitting it again changes nothing.
    ///
    /// The server verifies no signature; but it reads the signed statements, and refuses evidence that differs from
    /// what is admitted, or that has fewer people than the policy in it demands.
    ///
    /// # Errors
    ///
    /// Returns an error if no admitted plan has that gate, if the approval has expired, if its nonce is that of
    /// another approval, if it is a rejection, or if the server refuses it.
    pub fn admit_approval(&mut self, approval: &Attestation) -> Result<(), OperatorError> {
        self.admit(
            "admit the approval",
            "SELECT phasegate.admit_approval($1, $2, $3, $4, $5, $6, $7::pg_catalog.text::pg_catalog.jsonb, $8)",
            approval,
        )
    }

    /// Admits a rejection: no phase of its plan is opened any more, and no open phase commits, even if its gates were
    /// approved. A rejection cannot be undone. The caller has verified it.
    ///
    /// Waits at most `patience` for commits whose checks had passed before, and returns those that have not ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is not admitted, if the attestation is an approval, or if the call fails.
    pub fn admit_rejection(
        &mut self,
        rejection: &Attestation,
        patience: Duration,
    ) -> Result<Rejected, OperatorError> {
        self.admit(
            "admit the rejection",
            "SELECT phasegate.admit_rejection($1, $2, $3, $4, $5, $6, $7::pg_catalog.text::pg_catalog.jsonb, $8)",
            rejection,
        )?;
        // The rejection is admitted: a failure from here on only means that the draining is not known.
        let drained = self.ask(
            "wait for commits in flight",
            "SELECT phasegate.wait_for_commits(pg_catalog.make_interval(secs => $1))",
            &[&patience.as_secs_f64()],
        );
        if let Ok(true) = drained {
            return Ok(Rejected::Drained);
        }
        let holders = self.holders("SELECT * FROM phasegate.commits_in_flight()");
        Ok(Rejected::Pending(holders.unwrap_or_default()))
    }

    fn admit(
        &mut self,
        what: &'static str,
        query: &str,
        attestation: &Attestation,
    ) -> Result<(), OperatorError> {
        let statement = attestation.statement();
        let evidence = attestation.evidence().map(as_json);
        self.call(
            what,
            query,
            &[
                &statement.nonce,
                &statement.plan.as_bytes().as_slice(),
                &statement.gate,
                &attestation.approver(),
                &statement.expires,
                &statement.comment,
                &evidence,
                &statement.decision.to_string(),
            ],
        )
    }

    /// Turns the kill switch on, in a new epoch, for at most a day; returns the epoch. No phase of an earlier epoch
    /// commits.
    ///
    /// The lease ends when its time is over, at [`switch_off`](Operator::switch_off), and when the server's process
    /// ends: after a restart, a restore or a promotion, turn the switch on again. While the switch is ON and phases
    /// are open, use [`extend`](Operator::extend) to keep it on for longer.
    ///
    /// # Errors
    ///
    /// Returns an error if `why` is empty, if `lasts` is zero or longer than a day, if the switch is ON and a phase is
    /// open, or if the call fails.
    pub fn switch_on(&mut self, why: &str, lasts: Duration) -> Result<i64, OperatorError> {
        self.ask(
            "turn the switch on",
            "SELECT phasegate.switch_on($1, pg_catalog.make_interval(secs => $2))",
            &[&why, &lasts.as_secs_f64()],
        )
    }

    /// Extends the current lease to `lasts` from now, for at most a day; returns when it ends. The epoch stays: an
    /// open phase may take until then.
    ///
    /// # Errors
    ///
    /// Returns an error if the switch is OFF, if `why` is empty, if `lasts` is longer than a day, if the lease would
    /// not end later than it does already, or if the call fails.
    pub fn extend(&mut self, why: &str, lasts: Duration) -> Result<SystemTime, OperatorError> {
        self.ask(
            "extend the lease",
            "SELECT phasegate.extend($1, pg_catalog.make_interval(secs => $2))",
            &[&why, &lasts.as_secs_f64()],
        )
    }

    /// Turns the kill switch off, ends the open phases, and waits at most `patience` for the commits that had passed
    /// their check. It never waits for a phase.
    ///
    /// Once it has returned [`SwitchedOff::Drained`], no later commit passes.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call. After an error of the connection, the switch may be on or off.
    pub fn switch_off(
        &mut self,
        why: &str,
        patience: Duration,
    ) -> Result<SwitchedOff, OperatorError> {
        self.call(
            "turn the switch off",
            "SELECT phasegate.switch_off($1)",
            &[&why],
        )?;
        // The switch is OFF: a failure from here on only means that the draining is not known.
        if let Ok(true) = self.drain(patience) {
            return Ok(SwitchedOff::Drained);
        }
        let holders = self.holders("SELECT * FROM phasegate.commits_in_flight()");
        Ok(SwitchedOff::Pending(holders.unwrap_or_default()))
    }

    /// Ends the sessions whose commits [`switch_off`](Operator::switch_off) waits for, for example behind a
    /// synchronous standby that is down, and waits at most `patience` for those sessions to end. A commit that they
    /// have made stays committed on this server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call.
    pub fn end_commits_in_flight(
        &mut self,
        patience: Duration,
    ) -> Result<SwitchedOff, OperatorError> {
        self.call(
            "end the commits in flight",
            "SELECT phasegate.end_commits_in_flight()",
            &[],
        )?;
        if self.drain(patience)? {
            return Ok(SwitchedOff::Drained);
        }
        let holders = self.holders("SELECT * FROM phasegate.commits_in_flight()")?;
        Ok(SwitchedOff::Pending(holders))
    }

    /// Returns the state of the switch, without waiting for a lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond.
    pub fn status(&mut self) -> Result<SwitchStatus, OperatorError> {
        let before = self.read_status()?.epoch;
        let drained = self.drain(Duration::ZERO)?;
        let phases = self.holders("SELECT * FROM phasegate.phases_in_progress()")?;
        let status = self.read_status()?;
        Ok(SwitchStatus {
            phases,
            // Unless another session has turned the switch meanwhile.
            drained: drained && !status.on && status.epoch == before,
            ..status
        })
    }

    /// Reads the state without the open phases, and with `drained` as `false`.
    fn read_status(&mut self) -> Result<SwitchStatus, OperatorError> {
        let read = |row: Row| -> Result<SwitchStatus, ::postgres::Error> {
            Ok(SwitchStatus {
                on: row.try_get("is_on")?,
                refusal: row.try_get("refusal")?,
                epoch: row.try_get("epoch")?,
                until: row.try_get("until")?,
                who: row.try_get("actor")?,
                why: row.try_get("reason")?,
                at: row.try_get("at")?,
                phases: Vec::new(),
                drained: false,
            })
        };
        self.client
            .query_one(
                "SELECT is_on, refusal, epoch, actor, reason, at, \
                        CASE WHEN pg_catalog.isfinite(until) THEN until END AS until \
                 FROM phasegate.switch_status()",
                &[],
            )
            .and_then(read)
            .map_err(|error| OperatorError::new("read the state of the switch", error))
    }

    /// Deletes the records that are older than this and that nothing needs any more; those of the last day are kept. The
    /// journal, plans, approvals and their evidence stay: no function deletes them.
    ///
    /// An attempt that is deleted, and whose commit is in doubt, can no longer be resolved. Changes of the kill switch are
    /// deleted up to the last one; an auditor who needs them copies `phasegate.switch_history` before.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call: with less than a day, for example.
    pub fn housekeep(&mut self, older_than: Duration) -> Result<Housekept, OperatorError> {
        let read = |row: Row| {
            Ok(Housekept {
                attempts: row.try_get(0)?,
                switch_changes: row.try_get(1)?,
                counters: row.try_get(2)?,
            })
        };
        self.client
            .query_one(
                "SELECT attempts, switch_changes, counters \
                 FROM phasegate.housekeep(pg_catalog.make_interval(secs => $1))",
                &[&older_than.as_secs_f64()],
            )
            .and_then(read)
            .map_err(|error| OperatorError::new("delete old records", error))
    }

    fn drain(&mut self, patience: Duration) -> Result<bool, OperatorError> {
        self.ask(
            "wait for commits in flight",
            "SELECT phasegate.drain(pg_catalog.make_interval(secs => $1))",
            &[&patience.min(FOR_EVER).as_secs_f64()],
        )
    }

    fn holders(&mut self, query: &str) -> Result<Vec<BlockingSession>, OperatorError> {
        self.client
            .query(query, &[])
            .and_then(|rows| rows.iter().map(blocking_session::read).collect())
            .map_err(|error| OperatorError::new("list the blocking sessions", error))
    }

    fn call(
        &mut self,
        what: &'static str,
        query: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<(), OperatorError> {
        self.perform(query, params)
            .map(drop)
            .map_err(|error| OperatorError::new(what, error))
    }

    fn ask<T: for<'a> FromSql<'a>>(
        &mut self,
        what: &'static str,
        query: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<T, OperatorError> {
        self.perform(query, params)
            .and_then(|row| row.try_get(0))
            .map_err(|error| OperatorError::new(what, error))
    }

    /// Performs `f` in a transaction with an explicit isolation level, independently of the session's defaults: an
    /// operator who has waited for another one must see that one's changes.
    fn perform(
        &mut self,
        query: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, ::postgres::Error> {
        let mut tx = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::ReadCommitted)
            .read_only(false)
            .start()?;
        let row = tx.query_one(query, params)?;
        tx.commit()?;
        Ok(row)
    }
}

/// Encodes the evidence as JSON; it consists of texts and lists of texts.
fn as_json(evidence: &Evidence) -> String {
    serde_json::to_value(evidence)
        .unwrap_or_default()
        .to_string()
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operator(..)")
    }
}
