use std::fmt;

use ::postgres::fallible_iterator::FallibleIterator;
use ::postgres::types::ToSql;
use ::postgres::{Row, RowIter, SimpleQueryMessage};

use super::connector::{ConnectError, Connector};
use super::params::{self, Encoded, by_reference};
use super::session::Session;
use super::statement::{SqlError, refuse_unsendable};
use crate::base::printable::{Listed, Printable};
use crate::outcome::{BoxError, message_of, server_hint};
use crate::plan::Target;

/// Begins the read-only transaction. The server refuses `SET TRANSACTION READ WRITE` once a query was made, so that
/// the message that begins makes one.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
    SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), \
           pg_catalog.current_database(), session_user, \
           pg_catalog.current_setting('transaction_read_only'), \
           pg_catalog.current_setting('transaction_isolation'), \
           pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()";

/// Selects what the role, or a role that it may act as, could write outside of a read-only transaction.
const WRITABLE: &str = "WITH acting AS ( \
      SELECT r.oid, r.rolname, r.rolsuper FROM pg_catalog.pg_roles AS r \
      WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')) \
    SELECT 'it is a superuser' FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) session_user AND rolsuper \
    UNION ALL \
    SELECT pg_catalog.format('it may act as %I', rolname) FROM acting \
    WHERE (rolsuper OR rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')) \
      AND NOT (SELECT s.rolsuper FROM pg_catalog.pg_roles AS s WHERE s.rolname OPERATOR(pg_catalog.=) session_user) \
    UNION ALL (\
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
      AND NOT (SELECT s.rolsuper FROM pg_catalog.pg_roles AS s WHERE s.rolname OPERATOR(pg_catalog.=) session_user) \
      AND EXISTS (SELECT FROM acting AS a WHERE NOT a.rolsuper \
          AND (pg_catalog.has_table_privilege(a.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') \
               OR pg_catalog.has_any_column_privilege(a.oid, c.oid, 'INSERT, UPDATE'))) \
    ORDER BY n.nspname, c.relname)";

/// A session for a simulator that reads the real data: the server itself refuses writes.
///
/// The session is one transaction, `REPEATABLE READ` and `READ ONLY`: every query sees the data as of the moment of
/// opening. It is never committed. Opening it makes a query first, so that the server refuses to make the transaction
/// `READ WRITE`. Transaction control is not sent, so that the session stays in this transaction; any later transaction
/// would be read-only by the session's default. Each method sends one statement, by the extended protocol, as
/// [`PhaseTx`](crate::PhaseTx) does.
///
/// After a statement that fails, the server refuses every other one until [`refresh`](ReadOnlySession::refresh) begins
/// again, at another moment.
///
/// The simulator owns the session:
///
/// ```
/// # use phasegate::{*, connect::{PostgresConnector, ReadOnlySession}};
/// # use phasegate::testing::TestPostgres;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct CloseAccounts { below: i64 }
/// # impl PhaseSpec for CloseAccounts {
/// #     const NAME: &'static str = "close"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// struct Predicts {
///     bank: ReadOnlySession,
/// }
///
/// impl Simulate<CloseAccounts> for Predicts {
///     fn simulate(&mut self, close: &CloseAccounts, _: (), effects: &mut Effects) -> Result<u64, Failure> {
///         let empty = "SELECT count(*) FROM account WHERE balance < $1";
///         let closed: i64 = self.bank.query_one(empty, &[&close.below])?.try_get(0)?;
///         effects.update("public.account", closed.unsigned_abs());
///         Ok(closed.unsigned_abs())
///     }
/// }
///
/// # let server = TestPostgres::find_or_start()?;
/// # let database = server.create_database()?;
/// # let config = database.admin();
/// # config.connect(postgres::NoTls)?.batch_execute("CREATE TABLE account AS SELECT generate_series(1, 9)::bigint AS balance")?;
/// let bank = ReadOnlySession::open(&mut PostgresConnector::no_tls(config))?;
/// let planned = DryRunner::new("closing")
///     .target(bank.target().clone())
///     .simulator(Predicts { bank })
///     .run(|run, on| {
///         let sg1 = run.approval()?;
///         Ok(run.phase(CloseAccounts { below: 4 }).perform(on, sg1, Start)?.into_output())
///     })?;
/// assert_eq!(planned.value, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// No method changes data or ends the transaction:
///
/// ```compile_fail,E0599
/// fn hasty(bank: &mut phasegate::connect::ReadOnlySession) {
///     bank.execute("UPDATE account SET balance = 0", &[]); // no such method
/// }
/// ```
///
/// # What `READ ONLY` does not refuse
///
/// Nothing is ever committed, so an effect that a rollback undoes never stays: large objects, which servers before 16
/// let a read-only transaction write; and `NOTIFY`, which takes effect at a commit. These effects are not undone by a
/// rollback:
///
/// - advisory locks, and locks on tables of any strength, which block other sessions until the session ends; the
///   maintenance commands of a table's owner (`REINDEX`, `CLUSTER`, `ANALYZE`) take such locks too;
/// - functions that work outside of the transaction: in untrusted languages, `dblink` and the like, which open another
///   connection, files and programs on the server, `pg_terminate_backend`.
///
/// The best choice is therefore a role that can only `SELECT` and serves no other purpose. The plan's target is then
/// not this session's; take it from [`Target::identify`](crate::Target::identify), connected as the role that will
/// perform the plan. [`open_as_reader`](ReadOnlySession::open_as_reader) refuses a role that could write, and
/// [`could_write`](ReadOnlySession::could_write) returns what the role could write outside of a read-only transaction.
///
/// The session holds a snapshot for as long as it lives, and the server cannot vacuum rows that the snapshot still
/// sees: do not keep the session for long. A standby serves as well as a primary.
pub struct ReadOnlySession {
    session: Session,
    target: Target,
    could_write: Vec<String>,
    /// The session has ended and could not begin again: a statement sent now would be a transaction of its own.
    ended: bool,
}

/// Why a read-only session was not opened or refreshed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadOnlyError {
    /// The connector returned no connection.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// The server did not begin a read-only transaction.
    #[error("no read-only session: {}", message_of(&**.0))]
    NotBegun(BoxError),
    /// The connector returned a session that is in a transaction already.
    #[error(
        "no read-only session: the session that the connector handed out is in a transaction already"
    )]
    InTransaction,
    /// The role could write, and [`ReadOnlySession::open_as_reader`] was called.
    #[error(
        "no read-only session: role `{}` can do more than read: {}",
        Printable(.role),
        Listed::new(.what, ", ")
    )]
    CouldWrite {
        /// The role of the session.
        role: String,
        /// The tables that the role could write, and the privileges that it has.
        what: Vec<String>,
    },
}

impl ReadOnlyError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ReadOnlyError::NotConnected(error) => error.code(),
            ReadOnlyError::NotBegun(_) => "read_only_not_begun",
            ReadOnlyError::InTransaction => "read_only_in_transaction",
            ReadOnlyError::CouldWrite { .. } => "read_only_could_write",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            ReadOnlyError::NotConnected(error) => error.hint(),
            ReadOnlyError::NotBegun(error) => server_hint(&**error),
            ReadOnlyError::InTransaction => {
                Some("Let the connector return a new session.".to_owned())
            }
            ReadOnlyError::CouldWrite { .. } => Some(
                "Give the role SELECT and nothing else, or call `ReadOnlySession::open`."
                    .to_owned(),
            ),
        }
    }
}

impl ReadOnlySession {
    /// Opens a session in which the server refuses writes, independently of the role's privileges.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection, or the server does not begin a read-only transaction.
    pub fn open(connector: &mut dyn Connector) -> Result<Self, ReadOnlyError> {
        let mut session = Session::connect(connector)?;
        let not_begun = |error: ::postgres::Error| ReadOnlyError::NotBegun(error.into());
        // Sent in a message of its own: in one message with BEGIN, it would be part of that transaction.
        session
            .client()
            .simple_query("SET default_transaction_read_only = on")
            .map_err(not_begun)?;
        let target = begin(&mut session)?;
        let writable = session.client().simple_query(WRITABLE).map_err(not_begun)?;
        let could_write = writable.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(ReadOnlySession {
            could_write: could_write.collect(),
            session,
            target,
            ended: false,
        })
    }

    /// Opens a session as [`open`](ReadOnlySession::open) does, and refuses a role that could write.
    ///
    /// # Errors
    ///
    /// As [`open`](ReadOnlySession::open), and when the role, or a role that it may act as, could write a table, a
    /// file or a program's input outside of a read-only transaction.
    pub fn open_as_reader(connector: &mut dyn Connector) -> Result<Self, ReadOnlyError> {
        let session = ReadOnlySession::open(connector)?;
        if session.could_write.is_empty() {
            return Ok(session);
        }
        Err(ReadOnlyError::CouldWrite {
            role: session.target.role().to_owned(),
            what: session.could_write.clone(),
        })
    }

    /// Returns the database of the session, as the server identifies it. The role in it is the one that reads; a plan
    /// names the role that will perform it.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns what the role, or a role that it may act as, could write outside of a read-only transaction: tables,
    /// and broader privileges. Empty for a role that can only read.
    #[must_use]
    pub fn could_write(&self) -> &[String] {
        &self.could_write
    }

    /// Begins a new transaction: later queries see the data as of this moment. Call it to go on after a statement that
    /// failed.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not begin a read-only transaction. Every later query of the session then
    /// fails.
    pub fn refresh(&mut self) -> Result<(), ReadOnlyError> {
        self.ended = true;
        let rolled_back = self.session.client().simple_query("ROLLBACK");
        rolled_back.map_err(|error| ReadOnlyError::NotBegun(error.into()))?;
        begin(&mut self.session)?;
        self.ended = false;
        Ok(())
    }

    /// Performs a query, and returns all its rows.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the statement, as it refuses every write (SQLSTATE 25006); or if the
    /// statement is transaction control or `COPY`, which are not sent.
    pub fn query(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        Ok(self
            .session
            .client()
            .query(&statement, &by_reference(&params))?)
    }

    /// Performs a query, and returns its only row.
    ///
    /// # Errors
    ///
    /// As [`query`](ReadOnlySession::query), and when there is no row or more than one.
    pub fn query_one(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        Ok(self
            .session
            .client()
            .query_one(&statement, &by_reference(&params))?)
    }

    /// Performs a query, and returns its row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`query`](ReadOnlySession::query), and when there is more than one row.
    pub fn query_opt(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        Ok(self
            .session
            .client()
            .query_opt(&statement, &by_reference(&params))?)
    }

    /// Performs a query, and returns its rows one by one as they arrive.
    ///
    /// # Errors
    ///
    /// As [`query`](ReadOnlySession::query); each row can be an error too.
    pub fn query_raw(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<ReadRows<'_>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let rows = self.session.client().query_raw(&statement, params)?;
        Ok(ReadRows(rows))
    }

    fn ready(
        &mut self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<(::postgres::Statement, Vec<Encoded>), SqlError> {
        if self.ended {
            return Err(SqlError::Ended);
        }
        refuse_unsendable(sql).map_err(|refused| match refused {
            SqlError::TransactionControl { word } => SqlError::ReadOnly { word },
            SqlError::Copy => SqlError::ReadOnly {
                word: "COPY".to_owned(),
            },
            other => other,
        })?;
        let statement = self.session.client().prepare(sql)?;
        let params = params::encode(params, statement.params())?;
        Ok((statement, params))
    }
}

/// Begins the transaction, and returns its target, after the server has confirmed that the transaction is read-only.
fn begin(session: &mut Session) -> Result<Target, ReadOnlyError> {
    session.open = true;
    let answer = session.client().simple_query(BEGIN);
    let answer = answer.map_err(|error| ReadOnlyError::NotBegun(error.into()))?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let told = |column: usize| row.and_then(|row| row.get(column)).unwrap_or_default();
    if told(5) == "f" {
        return Err(ReadOnlyError::InTransaction);
    }
    if (told(3), told(4)) != ("on", "repeatable read") {
        let said = "the server did not say that the transaction is read-only";
        return Err(ReadOnlyError::NotBegun(said.into()));
    }
    Ok(Target::new(told(0), told(1), told(2)))
}

impl fmt::Debug for ReadOnlySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlySession({})", self.target)
    }
}

/// The rows of a query, as they arrive; see [`ReadOnlySession::query_raw`].
pub struct ReadRows<'a>(RowIter<'a>);

impl Iterator for ReadRows<'_> {
    type Item = Result<Row, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.0.next().transpose()?;
        Some(row.map_err(SqlError::from))
    }
}

impl fmt::Debug for ReadRows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadRows(..)")
    }
}
