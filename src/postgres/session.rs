use ::postgres::error::{Severity, SqlState};
use ::postgres::{Client, SimpleQueryMessage};

use super::connector::{ConnectError, Connector};
use crate::outcome::Transaction;
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
}

/// Who is at the other end.
pub(crate) struct Identity {
    pub(crate) target: Target,
    /// Nothing on a standby, which has no timeline of its own.
    pub(crate) timeline: Option<String>,
    backend_pid: i32,
    backend_start: String,
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
        })
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn identify(&mut self) -> Result<Identity, ::postgres::Error> {
        identify(&mut self.client)
    }

    /// Opens the transaction, in one round trip, and answers its xid.
    pub(crate) fn open(&mut self) -> Result<String, ::postgres::Error> {
        self.open = true;
        let answer = self.client.simple_query(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; \
             SELECT pg_catalog.pg_current_xact_id()",
        )?;
        let xid = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(xid.unwrap_or_default().to_owned())
    }

    /// Closes the transaction, in one round trip: is it still the one that was opened; drain the
    /// deferred constraints; commit.
    ///
    /// The three travel in one message, of which the server drops the rest at the first error: a
    /// failed transaction cannot get as far as the `COMMIT`, to which the server would answer with
    /// a rollback and the driver with `Ok`.
    pub(crate) fn close(mut self, xid: &str) -> Result<(), CloseError> {
        if self.client.is_closed() {
            return Err(CloseError::AlreadyLost);
        }
        // The transaction id is digits only; every function is qualified, so that no search path
        // can put another in its place. A phase may have turned durability off: a receipt is
        // durable.
        let close = format!(
            "DO $close$ BEGIN \
               IF pg_catalog.xid8ne(pg_catalog.pg_current_xact_id(), '{xid}') THEN \
                 RAISE EXCEPTION USING ERRCODE = '{NOT_THE_OPENED_ONE}', \
                   MESSAGE = 'the transaction is not the one that was opened'; \
               END IF; \
               IF pg_catalog.texteq(pg_catalog.current_setting('synchronous_commit'), 'off') THEN \
                 PERFORM pg_catalog.set_config('synchronous_commit', 'on', true); \
               END IF; \
             END $close$; \
             SET CONSTRAINTS ALL IMMEDIATE; \
             COMMIT"
        );
        match self.client.simple_query(&close) {
            Ok(_) => {
                self.open = false;
                Ok(())
            }
            Err(error) => Err(Self::close_error(error)),
        }
    }

    fn close_error(error: ::postgres::Error) -> CloseError {
        let Some(database) = error.as_db_error() else {
            return CloseError::NoAnswer(error);
        };
        // Only `ERROR` says that the transaction is over and undone; a session that was ended may
        // have been ended between the commit and its answer.
        if database.parsed_severity() != Some(Severity::Error) {
            CloseError::NoAnswer(error)
        } else if *database.code() == SqlState::IN_FAILED_SQL_TRANSACTION {
            CloseError::StatementHadFailed
        } else if database.code().code() == NOT_THE_OPENED_ONE {
            CloseError::AnotherTransaction(error)
        } else {
            CloseError::Refused(error)
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.open && !self.client.is_closed() {
            // Asked for, not left to the end of the connection, so that its locks are gone when
            // the caller hears of the failure. An error means that the session is gone, and with
            // it the transaction.
            let _ = self.client.simple_query("ROLLBACK");
        }
    }
}

/// Asks the server who it is.
fn identify(client: &mut Client) -> Result<Identity, ::postgres::Error> {
    let row = client.query_one(
        "SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), \
                pg_catalog.current_database()::text, \
                session_user::text, \
                CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.left( \
                  pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8) END, \
                pg_catalog.pg_backend_pid(), \
                (SELECT backend_start::text FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))",
        &[],
    )?;
    let (cluster, database, role): (String, String, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Identity {
        target: Target::new(cluster, database, role),
        timeline: row.try_get(3)?,
        backend_pid: row.try_get(4)?,
        backend_start: row.try_get(5)?,
    })
}

impl Target {
    /// The database that `client` is connected to, and the role that it is connected as.
    ///
    /// # Errors
    ///
    /// When the server does not answer.
    pub fn identify(client: &mut Client) -> Result<Self, ::postgres::Error> {
        Ok(identify(client)?.target)
    }
}
