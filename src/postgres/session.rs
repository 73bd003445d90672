use std::panic::{AssertUnwindSafe, catch_unwind};

use ::postgres::error::{Severity, SqlState};
use ::postgres::{Client, SimpleQueryMessage};

use super::connector::{ConnectError, Connector};
use crate::outcome::{Foreign, Transaction};
use crate::plan::Target;

/// Raised by the close when the transaction is not the one that was opened.
const NOT_THE_OPENED_ONE: &str = "ZG001";

/// The session of one phase: connect, identify, open, and close, which consumes it.
///
/// Dropped before a close that succeeded, it rolls back; and whatever happened, the connection ends
/// with it.
pub(crate) struct Session {
    client: Client,
    open: bool,
    /// The session's `synchronous_commit` when the transaction was opened.
    durability: String,
}

/// Who is at the other end.
pub(crate) struct Identity {
    pub(crate) target: Target,
    /// Nothing on a standby, which has no timeline of its own.
    pub(crate) timeline: Option<String>,
    backend_pid: i32,
    backend_start: String,
    /// The session was in a transaction before it was asked.
    pub(crate) in_transaction: bool,
    /// The role that it acts as, if that is not the one that it logged in as.
    pub(crate) acting_role: Option<String>,
}

impl Identity {
    pub(crate) fn transaction(&self, xid: String) -> Transaction {
        Transaction {
            xid,
            timeline: self.timeline.clone().unwrap_or_default(),
            backend_pid: self.backend_pid,
            backend_start: self.backend_start.clone(),
        }
    }
}

/// Why a close did not commit, or is not known to have.
pub(crate) enum CloseError {
    /// The connection was gone before the close was sent.
    AlreadyLost,
    /// A statement had failed in the transaction, so the server refused the close.
    StatementHadFailed,
    /// The server refused the close: a deferred constraint, or the commit.
    Refused(::postgres::Error),
    /// The transaction is not the one that was opened.
    AnotherTransaction(::postgres::Error),
    /// No answer, or a fatal one: it may have been committed or not.
    NoAnswer(::postgres::Error),
}

impl Session {
    pub(crate) fn connect(connector: &mut dyn Connector) -> Result<Self, ConnectError> {
        let client = connector.connect()?;
        Ok(Session {
            client,
            open: false,
            durability: String::new(),
        })
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn identify(&mut self) -> Result<Identity, Foreign> {
        identify(&mut self.client)
    }

    /// Opens the transaction, in one round trip, and answers its xid.
    pub(crate) fn open(&mut self) -> Result<String, Foreign> {
        self.open = true;
        let answer = self.client.simple_query(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; \
             SELECT pg_catalog.pg_current_xact_id(), \
                    pg_catalog.current_setting('synchronous_commit')",
        )?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        // Both become parts of the closing message.
        let part = |column: usize, allowed: fn(u8) -> bool| {
            let text = row.and_then(|row| row.get(column)).unwrap_or_default();
            let fit = !text.is_empty() && text.bytes().all(allowed);
            fit.then(|| text.to_owned())
                .ok_or("the server did not say which transaction it opened, and how durable it is")
        };
        let xid = part(0, |byte| byte.is_ascii_digit())?;
        self.durability = part(1, |byte| byte.is_ascii_lowercase() || byte == b'_')?;
        Ok(xid)
    }

    /// Closes the transaction, in one round trip: drain the deferred constraints; is it still the
    /// transaction that was opened; commit.
    ///
    /// The three travel in one message, of which the server drops the rest at the first error: a
    /// failed transaction cannot get as far as the `COMMIT`, to which the server would answer with
    /// a rollback and the driver with `Ok`.
    pub(crate) fn close(mut self, xid: &str) -> Result<(), CloseError> {
        if self.client.is_closed() {
            return Err(CloseError::AlreadyLost);
        }
        // Every function is qualified, so that no search path can put another in its place. A phase
        // may have made its commit less durable than the session's: a receipt is durable.
        let other = not_the_opened_one(xid);
        let durability = match self.durability.as_str() {
            "off" => "on",
            durability => durability,
        };
        let close = format!(
            "SET CONSTRAINTS ALL IMMEDIATE; \
             DO $close$ BEGIN \
               IF pg_catalog.xid8ne(pg_catalog.pg_current_xact_id(), '{xid}') THEN \
                 RAISE EXCEPTION USING ERRCODE = '{NOT_THE_OPENED_ONE}', MESSAGE = '{other}'; \
               END IF; \
               PERFORM pg_catalog.set_config('synchronous_commit', '{durability}', true); \
             END $close$; \
             COMMIT"
        );
        // How it ends is the server's to say from here on, also if a callback of the driver panics.
        self.open = false;
        self.client.simple_query(&close).map(drop).map_err(|error| {
            self.open = true;
            close_error(error, xid)
        })
    }
}

/// What the server says when the transaction `xid` is not the one that it is in.
fn not_the_opened_one(xid: &str) -> String {
    format!("this is not transaction {xid}, which was opened")
}

fn close_error(error: ::postgres::Error, xid: &str) -> CloseError {
    let Some(database) = error.as_db_error() else {
        return CloseError::NoAnswer(error);
    };
    // Only `ERROR` says that the transaction is over and undone; a session that was ended may have
    // been ended between the commit and its answer.
    if database.parsed_severity() != Some(Severity::Error) {
        CloseError::NoAnswer(error)
    } else if *database.code() == SqlState::IN_FAILED_SQL_TRANSACTION {
        CloseError::StatementHadFailed
    } else if database.code().code() == NOT_THE_OPENED_ONE
        && database.message() == not_the_opened_one(xid)
    {
        CloseError::AnotherTransaction(error)
    } else {
        CloseError::Refused(error)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open && !self.client.is_closed() {
            // Asked for, not left to the end of the connection, so that its locks are gone when
            // the caller hears of the failure. An error, or a panic of a callback, means at worst
            // that the transaction ends with the session.
            let client = AssertUnwindSafe(&mut self.client);
            let _ = catch_unwind(|| { client }.simple_query("ROLLBACK").map(drop));
        }
    }
}

/// Asks the server who it is, in a message of its own: in a new session, that is a transaction of its
/// own too, which begins with the statement.
fn identify(client: &mut Client) -> Result<Identity, Foreign> {
    let answer = client.simple_query(
        "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
                pg_catalog.current_database(), \
                session_user, \
                CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.left( \
                  pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END, \
                pg_catalog.pg_backend_pid(), \
                (SELECT backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())), \
                pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.<>) pg_catalog.statement_timestamp(), \
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
        timeline: row.get(3).map(str::to_owned),
        backend_pid: known(4).parse()?,
        backend_start: known(5),
        in_transaction: row.get(6) != Some("f"),
        acting_role: row.get(7).map(str::to_owned),
    })
}

impl Target {
    /// The database that `client` is connected to, and the role that it is connected as.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub fn identify(client: &mut Client) -> Result<Self, ConnectError> {
        let identity = identify(client).map_err(ConnectError::from_foreign)?;
        Ok(identity.target)
    }
}
