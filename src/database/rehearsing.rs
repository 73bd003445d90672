//! The messages of a rehearsal: one transaction, never committed, in which the phases are performed one after the
//! other, each in a savepoint.

use std::collections::{BTreeMap, BTreeSet};

use ::postgres::SimpleQueryMessage;
use serde::{Deserialize, Serialize};

use super::session::{CloseError, OpenError, Session, close_error, first_value};
use crate::base::hex::hex;
use crate::outcome::BoxError;
use crate::plan::{ColumnChange, PlanMeans, PlannedPhase, RowCounts, Target};

/// The parameters of the opening message.
#[derive(Serialize)]
pub(crate) struct RehearsalRequest {
    pub(crate) application_name: String,
    /// Whether a role that has privileges that bypass the interlock is refused.
    pub(crate) refuse_privileged_role: bool,
}

/// The parameters of each phase. All timeouts are in milliseconds.
#[derive(Serialize)]
pub(crate) struct RehearsedRequest {
    pub(crate) application_name: String,
    pub(crate) lock_timeout: u64,
    pub(crate) statement_timeout: u64,
    pub(crate) idle_timeout: u64,
}

/// The server's response to the opening message.
#[derive(Deserialize)]
struct Opened {
    system_identifier: String,
    database: String,
    role: String,
    backend_pid: i32,
    backend_start: String,
    epoch: i64,
    immediate: Vec<String>,
    #[serde(flatten)]
    measured: Measured,
}

/// The effects of the rehearsal up to a moment.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Measured {
    #[serde(default)]
    pub(crate) effects: BTreeMap<String, Seen>,
    /// The columns that the phase has changed in tables guarded by contents.
    #[serde(default)]
    pub(crate) contents: BTreeMap<String, BTreeMap<ColumnChange, BTreeMap<String, SeenColumn>>>,
    /// Rows that the session has tried to write, for each table, including tables whose lock was released since.
    pub(crate) tried: BTreeMap<String, RowCounts>,
    /// The strongest lock on each table.
    pub(crate) locks: BTreeMap<String, String>,
    pub(crate) sequences: BTreeSet<String>,
}

/// The changes to one table: if exact, since the last measurement; otherwise, since the session began.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Seen {
    pub(crate) exactly: bool,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// The changes to one column since the last measurement.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SeenColumn {
    pub(crate) rows: u64,
    /// The rows that got a time of the transaction.
    #[serde(default)]
    pub(crate) now: u64,
    /// The rows that had such a time before, and have one again.
    #[serde(default)]
    pub(crate) again: u64,
    /// The digest of the values; `None` where they are not compared.
    pub(crate) values: Option<String>,
}

/// An open rehearsal. Dropping it rolls it back.
pub(crate) struct Rehearsing {
    session: Session,
    pub(crate) target: Target,
    pub(crate) backend_pid: i32,
    pub(crate) backend_start: String,
    pub(crate) epoch: i64,
    /// The session's settings at the beginning, as JSON.
    settings: String,
    /// The constraints that are checked immediately unless a phase defers them.
    immediate: Vec<String>,
    /// The effects up to the end of the last phase.
    pub(crate) so_far: Measured,
}

impl Rehearsing {
    /// Opens a rehearsal. If the server refuses it, the session is returned with the error, so that the reason can be
    /// queried in it.
    pub(crate) fn open(
        mut session: Session,
        request: &RehearsalRequest,
    ) -> Result<Self, Box<(Session, OpenError)>> {
        let opened: Opened = match session.opening("open_rehearsal", request) {
            Ok(opened) => opened,
            Err(error) => return Err(Box::new((session, error))),
        };
        let settings = session.client().simple_query(
            "SELECT pg_catalog.json_object_agg(name, setting) FROM pg_catalog.pg_settings \
             WHERE context OPERATOR(pg_catalog.=) 'user'",
        );
        let settings = match settings {
            Ok(answer) => first_value(&answer).unwrap_or("{}").to_owned(),
            Err(error) => {
                return Err(Box::new((session, OpenError::NoAnswer(error.into()))));
            }
        };
        Ok(Rehearsing {
            session,
            target: Target::new(opened.system_identifier, opened.database, opened.role),
            backend_pid: opened.backend_pid,
            backend_start: opened.backend_start,
            epoch: opened.epoch,
            settings,
            immediate: opened.immediate,
            so_far: opened.measured,
        })
    }

    pub(crate) fn client(&mut self) -> &mut ::postgres::Client {
        self.session.client()
    }

    /// Begins a phase, in one round trip.
    pub(crate) fn begin(&mut self, request: &RehearsedRequest) -> Result<(), BoxError> {
        let request = serde_json::to_vec(request)?;
        // The timeouts are set before the savepoint, so that they stay when it is rolled back.
        self.session.client().simple_query(&format!(
            "SELECT phasegate.rehearse(pg_catalog.decode('{}', 'hex')); SAVEPOINT phasegate_phase",
            hex(&request)
        ))?;
        Ok(())
    }

    /// Ends a phase, in one round trip: checks the deferred constraints, as the close of a live phase would; measures;
    /// keeps the written rows for the later phases; and resets the session as far as one transaction can, as between
    /// live phases.
    pub(crate) fn end(&mut self, idle_timeout: u64) -> Result<Measured, CloseError> {
        if self.client().is_closed() {
            return Err(CloseError::AlreadyLost);
        }
        let as_declared = self.constraints_as_declared();
        let end = format!(
            "SELECT phasegate.drain_rehearsal(); \
             SET CONSTRAINTS ALL IMMEDIATE; \
             SELECT phasegate.measure_rehearsal(); \
             {as_declared}; \
             RELEASE phasegate_phase; \
             CLOSE ALL; RESET ROLE; RESET ALL; DISCARD SEQUENCES; \
             SELECT pg_catalog.pg_advisory_unlock_all(); \
             SELECT pg_catalog.set_config(o.key, o.value, false) \
             FROM pg_catalog.json_each_text(pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), 'UTF8')::pg_catalog.json) AS o \
             JOIN pg_catalog.pg_settings AS s ON s.name OPERATOR(pg_catalog.=) o.key \
             WHERE s.setting OPERATOR(pg_catalog.<>) o.value; \
             SET LOCAL idle_in_transaction_session_timeout = {idle_timeout}",
            hex(self.settings.as_bytes())
        );
        let answer = self.client().simple_query(&end).map_err(close_error)?;
        measured(&answer).map_err(CloseError::NoAnswer)
    }

    /// Rolls back a phase that failed. After an error, the rehearsal cannot go on.
    pub(crate) fn take_back(&mut self) -> Result<Measured, BoxError> {
        // The server does not undo a SET CONSTRAINTS of a savepoint that was released inside of the one rolled back.
        let taken_back = format!(
            "ROLLBACK TO phasegate_phase; RELEASE phasegate_phase; {}; \
             DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all(); \
             SELECT phasegate.measure_failed()",
            self.constraints_as_declared()
        );
        let answer = self.client().simple_query(&taken_back)?;
        measured(&answer)
    }

    /// Returns what the phases have used so far, with its definitions; `phases` have the statements.
    pub(crate) fn means(&mut self, phases: &[PlannedPhase]) -> Result<PlanMeans, BoxError> {
        let statements: BTreeSet<&str> = phases
            .iter()
            .filter_map(PlannedPhase::statements)
            .flatten()
            .collect();
        let measure = format!(
            "SELECT phasegate.measure_means(pg_catalog.decode('{}', 'hex'))",
            hex(&serde_json::to_vec(&statements)?)
        );
        let answer = self.client().simple_query(&measure)?;
        let means = first_value(&answer).ok_or("the server did not say what was used")?;
        Ok(serde_json::from_str(means)?)
    }

    /// The statements that return each constraint to the mode in which it was declared.
    fn constraints_as_declared(&self) -> String {
        match self.immediate.as_slice() {
            [] => "SET CONSTRAINTS ALL DEFERRED".to_owned(),
            names => format!(
                "SET CONSTRAINTS ALL DEFERRED; SET CONSTRAINTS {} IMMEDIATE",
                names.join(", ")
            ),
        }
    }
}

fn measured(answer: &[SimpleQueryMessage]) -> Result<Measured, BoxError> {
    let measured = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).filter(|text| text.starts_with('{')),
        _ => None,
    });
    Ok(serde_json::from_str(
        measured.ok_or("the server did not say what it measured")?,
    )?)
}
