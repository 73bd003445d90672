use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ::postgres::error::{Severity, SqlState};
use ::postgres::{Client, SimpleQueryMessage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::connector::{ConnectError, Connector, Warnings};
use super::journal::StoredEntry;
use crate::base::digest::Digest;
use crate::base::hex::hex;
use crate::base::secret::Secret;
use crate::base::sqlstate;
use crate::outcome::BoxError;
use crate::plan::{ProgramIdentity, Target};

/// The longest time to wait for the rollback of a dropped session. After that, the connection is left to a thread of
/// its own.
const GIVING_UP: Duration = Duration::from_secs(5);

/// The tolerance for the age of a session, in seconds: two clocks measure it, the server's and this machine's. A phase
/// takes longer than that, so that the session of one phase is not accepted for the next.
const CLOCKS_DIFFER_BY: f64 = 0.005;

/// The version of the messages between this crate and the schema.
const PROTOCOL: u32 = 1;

/// What returns a session to the state in which it began, before the next phase is opened in it, in a transaction of
/// its own. `RESET SESSION AUTHORIZATION` resets the role as well. A phase leaves no temporary table, but another client
/// of a pool could have. A cursor that is open is refused at the commit. `DISCARD ALL` would forget the plans too, and
/// planning again costs more than a new session. What is not reset: libraries that were loaded, and what a procedural
/// language or an extension keeps outside of the database.
const RESET: &str = "BEGIN READ WRITE; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; \
     SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; COMMIT; ";

/// A session for phases, one after the other: connect, then open and close for each.
///
/// Dropped between the opening and a close that succeeded, the session is rolled back; in every case its connection is
/// closed, and the drop takes a bounded time.
pub(crate) struct Session {
    /// `None` once the session is dropped.
    client: Option<Client>,
    warnings: Warnings,
    pub(super) open: bool,
    /// Whether a reset returns it to the state in which the connector returned it.
    pub(crate) is_reusable: bool,
    asked_at: Instant,
    /// The server's process that the session was opened in; `None` while it is new.
    backend: Option<Backend>,
}

/// A process of the server, and when it started.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Backend {
    backend_pid: i32,
    backend_start: String,
}

/// The parameters of the opening message.
#[derive(Serialize)]
pub(crate) struct OpenRequest<'a> {
    pub(crate) plan: Digest,
    /// The place of the phase in the plan, counted from 1.
    pub(crate) place: usize,
    pub(crate) phase: &'a str,
    pub(crate) input: Digest,
    pub(crate) nonce: &'a str,
    pub(crate) lock: Digest,
    /// The nonces of the approvals, in the order of the gates.
    pub(crate) approvals: Vec<&'a str>,
    pub(crate) application_name: String,
    /// Whether a role that has privileges that bypass the interlock is refused.
    pub(crate) refuse_privileged_role: bool,
    /// What the program says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) program: Option<ProgramIdentity>,
    /// All timeouts are in milliseconds.
    pub(crate) lock_timeout: u64,
    pub(crate) statement_timeout: u64,
    pub(crate) idle_timeout: u64,
    pub(crate) phase_timeout: u64,
}

/// The server's response to the opening message.
#[derive(Debug, Deserialize)]
#[allow(clippy::struct_field_names)] // `opened_at` is the journal's word
pub(crate) struct Opened {
    system_identifier: String,
    database: String,
    role: String,
    pub(crate) timeline: String,
    pub(crate) backend_pid: i32,
    pub(crate) backend_start: String,
    pub(crate) opened_at: String,
    /// The transaction id, unless the phase is committed already.
    #[serde(default)]
    pub(crate) xid: String,
    #[serde(default)]
    pub(crate) epoch: i64,
    /// How much of the lease is left, in milliseconds.
    #[serde(default)]
    pub(crate) lease_left: u64,
    pub(crate) committed: Option<StoredEntry>,
    /// The phases after it that are committed as well, in the plan's order: as many as one answer holds.
    #[serde(default)]
    pub(crate) committed_next: Vec<StoredEntry>,
}

impl Opened {
    pub(crate) fn target(&self) -> Target {
        Target::new(&*self.system_identifier, &*self.database, &*self.role)
    }
}

/// Why a phase was not opened.
pub(crate) enum OpenError {
    /// The server refused the phase, and opened nothing.
    Refused(::postgres::Error),
    /// There was no usable response. A phase that may be open cannot commit: it is not sealed.
    NoAnswer(BoxError),
    /// The session is older than the call of the connector.
    NotNew {
        /// The age of the session, in seconds.
        age: f64,
    },
    /// A kept session reached another process of the server than the one that it began with.
    AnotherBackend,
}

impl OpenError {
    /// Returns whether a new session may have another result than a kept one had: unless the schema itself refused
    /// the phase, or the phase waited for as long as it may.
    pub(crate) fn may_be_of_the_session(&self) -> bool {
        let OpenError::Refused(error) = self else {
            return true;
        };
        match error.code().map(SqlState::code) {
            Some("55P03" | "57014") => false,
            Some(code) => code == sqlstate::SESSION_UNFIT || !code.starts_with("ZG"),
            None => true,
        }
    }
}

/// The server, database and role of a session.
pub(crate) struct Identity {
    pub(crate) target: Target,
    pub(crate) is_standby: bool,
    /// The role that the session acts as, if it is not the one that logged in.
    pub(crate) acting_role: Option<String>,
}

/// The server's response to the close.
pub(crate) struct Closed {
    /// The hash of the journal's row.
    pub(crate) hash: Digest,
    /// The server's warnings during the close.
    pub(crate) warnings: Vec<String>,
}

/// Why a close did not commit, or is not known to have.
pub(crate) enum CloseError {
    /// The connection was gone before the close was sent.
    AlreadyLost,
    /// A statement had failed in the transaction, so the server refused the close.
    StatementHadFailed,
    /// The server refused the close: the seal, a deferred constraint, the interlock, or the commit.
    Refused(::postgres::Error),
    /// There was no response, or none that confirms the commit: the phase may be committed or not.
    NoAnswer(BoxError),
}

impl Session {
    pub(crate) fn connect(connector: &mut dyn Connector) -> Result<Self, ConnectError> {
        let asked_at = Instant::now();
        let connection = connector.connect()?;
        let is_reusable = connection.is_reusable();
        let (client, warnings) = connection.into_parts();
        Ok(Session {
            is_reusable,
            client: Some(client),
            warnings,
            open: false,
            asked_at,
            backend: None,
        })
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client
            .as_mut()
            .expect("a session has a client until it is dropped")
    }

    /// Asks the server for its identity, in a transaction of its own.
    pub(crate) fn identify(&mut self) -> Result<Identity, BoxError> {
        identify(self.client())
    }

    /// Rolls back the rest of a refused opening, so that another query can be sent.
    pub(crate) fn roll_back(&mut self) -> Result<(), ::postgres::Error> {
        self.open = false;
        self.client().simple_query("ROLLBACK").map(drop)
    }

    /// Opens the transaction and the phase in it, in one round trip. A session that was used before is reset first, in
    /// the same message.
    pub(crate) fn open(&mut self, request: &OpenRequest<'_>) -> Result<Opened, OpenError> {
        self.opening("open", request)
    }

    /// Begins the transaction and calls the schema's function that opens a phase or a rehearsal in it, in one round
    /// trip.
    pub(super) fn opening<T: DeserializeOwned>(
        &mut self,
        function: &str,
        request: &impl Serialize,
    ) -> Result<T, OpenError> {
        #[derive(Serialize)]
        struct Message<'a, R> {
            protocol: u32,
            /// Whether a phase was opened in the session before.
            kept: bool,
            #[serde(flatten)]
            request: &'a R,
        }
        #[derive(Deserialize)]
        struct Of {
            /// In seconds.
            #[serde(rename = "session_age")]
            age: f64,
            #[serde(flatten)]
            backend: Backend,
        }
        let no_answer = |error: BoxError| OpenError::NoAnswer(error);
        let request = serde_json::to_vec(&Message {
            protocol: PROTOCOL,
            kept: self.backend.is_some(),
            request,
        })
        .map_err(|error| no_answer(error.into()))?;
        // ASCII, every name qualified, no operator: no setting of the session changes the meaning.
        let reset = self.backend.as_ref().map_or("", |_| RESET);
        let message = format!(
            "{reset}BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; \
             SELECT phasegate.{function}(pg_catalog.decode('{}', 'hex'))",
            hex(&request)
        );
        self.open = true;
        let answer = self.client().simple_query(&message).map_err(|error| {
            match error
                .as_db_error()
                .map(::postgres::error::DbError::parsed_severity)
            {
                Some(Some(Severity::Error)) => OpenError::Refused(error),
                _ => no_answer(error.into()),
            }
        })?;
        let text = last_value(&answer)
            .ok_or_else(|| no_answer("the server did not say what it opened".into()))?;
        let Of { age, backend } =
            serde_json::from_str(text).map_err(|error| no_answer(error.into()))?;
        match &self.backend {
            None if age > self.asked_at.elapsed().as_secs_f64() + CLOCKS_DIFFER_BY => {
                return Err(OpenError::NotNew { age });
            }
            Some(before) if *before != backend => return Err(OpenError::AnotherBackend),
            _ => self.backend = Some(backend),
        }
        serde_json::from_str(text).map_err(|error| no_answer(error.into()))
    }

    /// Finishes the phase, which has done nothing, so that the session has planned what that needs. The caller rolls it
    /// back. What the server refuses is of no interest: a phase that has done nothing may not be as planned.
    pub(crate) fn finish_nothing(&mut self, secret: &Secret) {
        let _ = self.client().simple_query(&finish(secret, b"null"));
    }

    /// Closes the phase, in one round trip: seals it, checks the deferred constraints, writes the journal, and
    /// commits.
    ///
    /// The statements travel in one message, and the server skips the rest of it at the first error. So a failed
    /// transaction never reaches the `COMMIT`, to which the server would respond with a rollback and the driver with
    /// `Ok`.
    pub(crate) fn close(&mut self, secret: &Secret, output: &[u8]) -> Result<Closed, CloseError> {
        if self.client().is_closed() {
            return Err(CloseError::AlreadyLost);
        }
        let close = format!("{}; COMMIT", finish(secret, output));
        self.warnings.take();
        // From here on the server decides how the transaction ends, also if a callback of the driver panics.
        self.open = false;
        let answer = match self.client().simple_query(&close) {
            Ok(answer) => answer,
            Err(error) => {
                self.open = true;
                return Err(close_error(error));
            }
        };
        // The driver does not return the server's command tags. Each of the four statements was performed, or the
        // response would have been an error; and a COMMIT that was performed in a transaction that had not failed
        // commits.
        let performed = answer
            .iter()
            .filter(|message| matches!(message, SimpleQueryMessage::CommandComplete(_)));
        let hash = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).and_then(|hash| hash.parse().ok()),
            _ => None,
        });
        match (performed.count(), hash.last()) {
            (4, Some(hash)) => Ok(Closed {
                hash,
                warnings: self.warnings.take(),
            }),
            _ => Err(CloseError::NoAnswer(
                "the server did not confirm the commit".into(),
            )),
        }
    }
}

/// Returns the statements that seal a phase, check its deferred constraints, and write its row of the journal.
fn finish(secret: &Secret, output: &[u8]) -> String {
    format!(
        "SELECT phasegate.seal(pg_catalog.decode('{}', 'hex')); \
         SET CONSTRAINTS ALL IMMEDIATE; \
         SELECT phasegate.finish(pg_catalog.decode('{}', 'hex'))",
        secret.to_hex(),
        hex(output)
    )
}

pub(super) fn close_error(error: ::postgres::Error) -> CloseError {
    let Some(database) = error.as_db_error() else {
        return CloseError::NoAnswer(error.into());
    };
    // Only `ERROR` means that the transaction is over and rolled back; a session that was terminated may have been
    // terminated between its commit and the response.
    if database.parsed_severity() != Some(Severity::Error) {
        CloseError::NoAnswer(error.into())
    } else if *database.code() == SqlState::IN_FAILED_SQL_TRANSACTION {
        CloseError::StatementHadFailed
    } else {
        CloseError::Refused(error)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        if client.is_closed() {
            return;
        }
        let open = self.open;
        let (gone, is_gone) = mpsc::channel();
        // A peer that does not respond would block the calling thread, so another thread waits for it.
        let give_up = move |mut client: Client| {
            if open {
                // The rollback is sent explicitly, and not left to the end of the connection, so that its locks are
                // released when the caller receives the failure. An error, or a panic of a callback, means at worst
                // that the transaction ends with the session.
                let client = AssertUnwindSafe(&mut client);
                let _ = catch_unwind(|| { client }.simple_query("ROLLBACK").map(drop));
            }
            drop(client);
            let _ = gone.send(());
        };
        let spawned = thread::Builder::new()
            .name("phasegate-give-up".to_owned())
            .spawn(move || give_up(client));
        if open && spawned.is_ok() {
            let _ = is_gone.recv_timeout(GIVING_UP);
        }
    }
}

fn last_value(answer: &[SimpleQueryMessage]) -> Option<&str> {
    answer.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}

pub(super) fn first_value(answer: &[SimpleQueryMessage]) -> Option<&str> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}

/// Asks the server for its identity, in a message of its own: in a new session, that is also a transaction of its own,
/// which begins with the statement.
fn identify(client: &mut Client) -> Result<Identity, BoxError> {
    let answer = client.simple_query(
        "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
                pg_catalog.current_database(), \
                session_user, \
                pg_catalog.pg_is_in_recovery(), \
                CASE WHEN current_user OPERATOR(pg_catalog.<>) session_user THEN current_user END",
    )?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or("the server did not respond")?;
    let known = |column: usize| row.get(column).unwrap_or_default().to_owned();
    Ok(Identity {
        target: Target::new(known(0), known(1), known(2)),
        is_standby: row.get(3) == Some("t"),
        acting_role: row.get(4).map(str::to_owned),
    })
}

impl Target {
    /// Returns the database that `client` is connected to, and the role that it is connected as: connect as the role
    /// that will perform the plan.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond.
    pub fn identify(client: &mut Client) -> Result<Self, ConnectError> {
        let identity = identify(client).map_err(|error| ConnectError::from_foreign(&*error))?;
        Ok(identity.target)
    }
}
