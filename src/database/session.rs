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
use crate::outcome::BoxError;
use crate::plan::Target;

/// How long giving a session up may take. After that, the connection is left to a thread of its own.
const GIVING_UP: Duration = Duration::from_secs(5);

/// How much older than the asking a session may be, in seconds, since two clocks measured it. A phase
/// takes longer, so that not even the one before it leaves its session to the next.
const CLOCKS_DIFFER_BY: f64 = 0.005;

/// The version of the messages between this crate and the schema.
const PROTOCOL: u32 = 1;

/// The session of one phase: connect, open, and close, which consumes it.
///
/// Dropped before a close that succeeded, it rolls back; and whatever happened, the connection ends
/// with it, and giving it up takes a bounded time.
pub(crate) struct Session {
    /// None once it is given up.
    client: Option<Client>,
    warnings: Warnings,
    pub(super) open: bool,
    asked_at: Instant,
}

/// What is asked for in the opening message.
#[derive(Serialize)]
pub(crate) struct OpenRequest<'a> {
    pub(crate) plan: Digest,
    /// Counted from 1.
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
    /// All in milliseconds.
    pub(crate) lock_timeout: u64,
    pub(crate) statement_timeout: u64,
    pub(crate) idle_timeout: u64,
    pub(crate) phase_timeout: u64,
}

/// The server's answer to the opening message.
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
    /// The transaction, unless the phase is committed already.
    #[serde(default)]
    pub(crate) xid: String,
    #[serde(default)]
    pub(crate) epoch: i64,
    /// How much of the lease is left, in milliseconds.
    #[serde(default)]
    pub(crate) lease_left: u64,
    pub(crate) committed: Option<StoredEntry>,
}

impl Opened {
    pub(crate) fn target(&self) -> Target {
        Target::new(&*self.system_identifier, &*self.database, &*self.role)
    }
}

/// Why a phase was not opened.
pub(crate) enum OpenError {
    /// The server refused it, and opened nothing.
    Refused(::postgres::Error),
    /// There was no usable answer. What may be open cannot commit: it is not sealed.
    NoAnswer(BoxError),
    /// The session is older than the asking for it.
    NotNew {
        /// How old, in seconds.
        age: f64,
    },
}

/// Who is at the other end.
pub(crate) struct Identity {
    pub(crate) target: Target,
    pub(crate) is_standby: bool,
    /// The role that it acts as, if that is not the one that it logged in as.
    pub(crate) acting_role: Option<String>,
}

/// The server's answer to the close.
pub(crate) struct Closed {
    /// The hash of the journal's row.
    pub(crate) hash: Digest,
    /// What the server warned of on the way.
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
    /// No answer, or none that says commit: it may have been committed or not.
    NoAnswer(BoxError),
}

impl Session {
    pub(crate) fn connect(connector: &mut dyn Connector) -> Result<Self, ConnectError> {
        let asked_at = Instant::now();
        let (client, warnings) = connector.connect()?.into_parts();
        Ok(Session {
            client: Some(client),
            warnings,
            open: false,
            asked_at,
        })
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        self.client
            .as_mut()
            .expect("a session has a client until it is dropped or closed, which consume it")
    }

    /// Asks the server who it is, in a transaction of its own.
    pub(crate) fn identify(&mut self) -> Result<Identity, BoxError> {
        identify(self.client())
    }

    /// Rolls back what a refused opening left, so that something else can be asked.
    pub(crate) fn roll_back(&mut self) -> Result<(), ::postgres::Error> {
        self.open = false;
        self.client().simple_query("ROLLBACK").map(drop)
    }

    /// Opens the transaction and the phase in it, in one round trip.
    pub(crate) fn open(&mut self, request: &OpenRequest<'_>) -> Result<Opened, OpenError> {
        self.opening("open", request)
    }

    /// Begins the transaction and calls the function of ours that opens something in it, in one round
    /// trip.
    pub(super) fn opening<T: DeserializeOwned>(
        &mut self,
        function: &str,
        request: &impl Serialize,
    ) -> Result<T, OpenError> {
        #[derive(Serialize)]
        struct Message<'a, R> {
            protocol: u32,
            #[serde(flatten)]
            request: &'a R,
        }
        #[derive(Deserialize)]
        struct Age {
            /// Seconds.
            session_age: f64,
        }
        let no_answer = |error: BoxError| OpenError::NoAnswer(error);
        let request = serde_json::to_vec(&Message {
            protocol: PROTOCOL,
            request,
        })
        .map_err(|error| no_answer(error.into()))?;
        // ASCII, every name qualified, no operator: no setting of the session changes what it says.
        let message = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; \
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
        let text = first_value(&answer)
            .ok_or_else(|| no_answer("the server did not say what it opened".into()))?;
        let Age { session_age: age } =
            serde_json::from_str(text).map_err(|error| no_answer(error.into()))?;
        if age > self.asked_at.elapsed().as_secs_f64() + CLOCKS_DIFFER_BY {
            return Err(OpenError::NotNew { age });
        }
        serde_json::from_str(text).map_err(|error| no_answer(error.into()))
    }

    /// Closes the phase, in one round trip: seal it; drain the deferred constraints; write the
    /// journal; commit.
    ///
    /// They travel in one message, of which the server drops the rest at the first error: a failed
    /// transaction cannot get as far as the `COMMIT`, to which the server would answer with a
    /// rollback and the driver with `Ok`.
    pub(crate) fn close(mut self, secret: &Secret, output: &[u8]) -> Result<Closed, CloseError> {
        if self.client().is_closed() {
            return Err(CloseError::AlreadyLost);
        }
        let close = format!(
            "SELECT phasegate.seal(pg_catalog.decode('{}', 'hex')); \
             SET CONSTRAINTS ALL IMMEDIATE; \
             SELECT phasegate.finish(pg_catalog.decode('{}', 'hex')); \
             COMMIT",
            secret.to_hex(),
            hex(output)
        );
        self.warnings.take();
        // How it ends is the server's to say from here on, also if a callback of the driver panics.
        self.open = false;
        let answer = match self.client().simple_query(&close) {
            Ok(answer) => answer,
            Err(error) => {
                self.open = true;
                return Err(close_error(error));
            }
        };
        // The driver does not hand on what the server calls what it did. Each of the four statements
        // was performed, or the answer would have been an error; and a COMMIT that was performed in
        // a transaction that had not failed commits.
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
                "the server did not say that it committed".into(),
            )),
        }
    }
}

pub(super) fn close_error(error: ::postgres::Error) -> CloseError {
    let Some(database) = error.as_db_error() else {
        return CloseError::NoAnswer(error.into());
    };
    // Only `ERROR` says that the transaction is over and undone; a session that was ended may have
    // been ended between the commit and its answer.
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
        // A peer that is silent would keep whoever waits for it: so somebody else does.
        let give_up = move |mut client: Client| {
            if open {
                // Asked for, not left to the end of the connection, so that its locks are gone when
                // the caller hears of the failure. An error, or a panic of a callback, means at
                // worst that the transaction ends with the session.
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

pub(super) fn first_value(answer: &[SimpleQueryMessage]) -> Option<&str> {
    answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    })
}

/// Asks the server who it is, in a message of its own: in a new session, that is a transaction of its
/// own too, which begins with the statement.
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
    let row = row.ok_or("the server did not answer")?;
    let known = |column: usize| row.get(column).unwrap_or_default().to_owned();
    Ok(Identity {
        target: Target::new(known(0), known(1), known(2)),
        is_standby: row.get(3) == Some("t"),
        acting_role: row.get(4).map(str::to_owned),
    })
}

impl Target {
    /// The database that `client` is connected to, and the role that it is connected as: connect as the one
    /// that will perform the plan.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not answer.
    pub fn identify(client: &mut Client) -> Result<Self, ConnectError> {
        let identity = identify(client).map_err(|error| ConnectError::from_foreign(&*error))?;
        Ok(identity.target)
    }
}
