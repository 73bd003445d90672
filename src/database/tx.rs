use std::error::Error as StdError;
use std::marker::PhantomData;
use std::{fmt, io};

use ::postgres::error::{DbError, Severity};
use ::postgres::fallible_iterator::FallibleIterator;
use ::postgres::types::{ToSql, Type};
use ::postgres::{Client, Row, RowIter};

use super::application_name::Publisher;
use super::params::{self, Encoded, by_reference, with_types};
use super::statement::sealed::Form;
use super::statement::{PreparedStatement, Sql, SqlError, planned_text, refuse_unsendable};
use super::traces::Traces;
use crate::kill_switch::{KillSwitch, SwitchState};
use crate::observer::{Event, Observer};
use crate::outcome::{Failure, RollbackCause};
use crate::plan::{PlannedPhase, SentStatements};

/// The number of rows after which [`PhaseTx::for_each_row`] reads the kill switch again.
pub(super) const ROWS_BETWEEN_READINGS: u64 = 64;

/// The most results that are allocated in advance from an iterator's size hint.
pub(super) const MOST_ROWS_RESERVED: usize = 4096;

/// Holding one lets an adapter read and write in the transaction of its phase, but not commit it or roll it back.
///
/// A live adapter borrows it for as long as it performs the phase, and cannot keep it: the adapter's return value
/// decides how the transaction ends. The lifetime is fresh for each performance and invariant, so that two
/// transactions cannot be exchanged for each other.
///
/// Each method sends one statement by the extended protocol, in one or two round trips (see [`Sql`]). Statements that would begin, end or
/// divide the transaction are recognised by their first word and not sent; inside `DO` and `CALL`
/// the server refuses them, since a transaction is open.
///
/// A rehearsal records the texts of the statements, and its plan has them. In a live run of such a plan, a statement with
/// another text is not sent, and the phase is rolled back even if the adapter drops the error. So pass values that differ
/// between runs as parameters, not as text.
///
/// ```compile_fail
/// fn two_at_once(a: &mut phasegate::PhaseTx<'_>, b: &mut phasegate::PhaseTx<'_>) {
///     std::mem::swap(a, b); // each has a lifetime of its own
/// }
/// ```
pub struct PhaseTx<'tx> {
    pub(super) client: &'tx mut Client,
    pub(super) phase: &'tx str,
    pub(super) kill_switch: &'tx dyn KillSwitch,
    pub(super) observer: &'tx mut Observer<'tx>,
    pub(super) traces: Traces,
    statements: Statements<'tx>,
    pub(super) publisher: Publisher,
    /// The number of names (of savepoints and statements) that this transaction has used.
    pub(super) names: u32,
    invariant: PhantomData<fn(&'tx ()) -> &'tx ()>,
}

/// What happens to the texts of the statements that an adapter sends.
#[derive(Debug)]
pub(crate) enum Statements<'tx> {
    /// They are recorded, for a plan.
    Recorded(SentStatements),
    /// Those that this phase of a plan may not send are refused.
    PlannedFor(&'tx PlannedPhase),
}

impl<'tx> PhaseTx<'tx> {
    /// Called only by the engine, for an open transaction.
    pub(crate) fn new(
        client: &'tx mut Client,
        phase: &'tx str,
        kill_switch: &'tx dyn KillSwitch,
        observer: &'tx mut Observer<'_>,
        statements: Statements<'tx>,
        publisher: Publisher,
    ) -> Self {
        PhaseTx {
            client,
            phase,
            kill_switch,
            observer,
            traces: Traces::default(),
            statements,
            publisher,
            names: 0,
            invariant: PhantomData,
        }
    }

    /// Returns the state of the transaction, and the statements that were sent, if they were recorded.
    pub(crate) fn into_traces(self) -> (Traces, SentStatements) {
        let sent = match self.statements {
            Statements::Recorded(sent) => sent,
            Statements::PlannedFor(_) => SentStatements::default(),
        };
        (self.traces, sent)
    }

    /// Performs a statement, and returns how many rows it changed.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the statement, or the statement is transaction control.
    pub fn execute<Q: Sql + ?Sized>(
        &mut self,
        sql: &Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let answer = match statement {
            Ready::Prepared(statement) => self.client.execute(&statement, &by_reference(&params)),
            Ready::Typed(sql, types) => self.client.execute_typed(sql, &with_types(&params, types)),
        };
        self.noted(answer)
    }

    /// Performs a query, and returns all its rows.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute).
    pub fn query<Q: Sql + ?Sized>(
        &mut self,
        sql: &Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let answer = match statement {
            Ready::Prepared(statement) => self.client.query(&statement, &by_reference(&params)),
            Ready::Typed(sql, types) => self.client.query_typed(sql, &with_types(&params, types)),
        };
        self.noted(answer)
    }

    /// Performs a query, and returns its only row.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute), and when there is no row or more than one.
    pub fn query_one<Q: Sql + ?Sized>(
        &mut self,
        sql: &Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let answer = match statement {
            Ready::Prepared(statement) => self.client.query_one(&statement, &by_reference(&params)),
            Ready::Typed(sql, types) => self
                .client
                .query_typed_one(sql, &with_types(&params, types)),
        };
        self.noted(answer)
    }

    /// Performs a query, and returns its row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute), and when there is more than one row.
    pub fn query_opt<Q: Sql + ?Sized>(
        &mut self,
        sql: &Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let answer = match statement {
            Ready::Prepared(statement) => self.client.query_opt(&statement, &by_reference(&params)),
            Ready::Typed(sql, types) => self
                .client
                .query_typed_opt(sql, &with_types(&params, types)),
        };
        self.noted(answer)
    }

    /// Performs a query, and returns its rows one by one as they arrive.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute); each row can be an error too.
    pub fn query_raw<Q: Sql + ?Sized>(
        &mut self,
        sql: &Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<RowStream<'_>, SqlError> {
        let (statement, params) = self.ready(sql, params)?;
        let answer = match statement {
            Ready::Prepared(statement) => self.client.query_raw(&statement, params),
            Ready::Typed(sql, types) => {
                let params = params.into_iter().zip(types.iter().cloned());
                self.client.query_typed_raw(sql, params)
            }
        };
        match answer {
            Ok(rows) => Ok(RowStream {
                rows,
                traces: &mut self.traces,
            }),
            Err(error) => Err(self.traces.note(error)),
        }
    }

    /// Prepares a statement, for use in this phase.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute).
    pub fn prepare(&mut self, sql: &str) -> Result<PreparedStatement<'tx>, SqlError> {
        self.prepare_typed(sql, &[])
    }

    /// Prepares a statement whose parameters have these types, for use in this phase.
    ///
    /// # Errors
    ///
    /// As [`execute`](PhaseTx::execute).
    pub fn prepare_typed(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<PreparedStatement<'tx>, SqlError> {
        Ok(PreparedStatement {
            driver: self.prepared(sql, types)?,
            transaction: PhantomData,
        })
    }

    /// Performs `f`, and rolls back its effects if it fails, so that the phase can go on.
    ///
    /// Use it for work that may fail: after a failed statement, the server refuses every other one until the
    /// transaction, or a savepoint in it, is rolled back.
    ///
    /// # Errors
    ///
    /// Returns the failure of `f`, after its effects are rolled back.
    pub fn savepoint<T>(
        &mut self,
        f: impl FnOnce(&mut PhaseTx<'tx>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.names += 1;
        let name = format!("phasegate_{}", self.names);
        // The server compares this text with the message that it received: change both together.
        self.message(&format!(
            "SELECT phasegate.before_savepoint(); SAVEPOINT {name}"
        ))?;
        let before = self.traces.failed_statement.take();
        let rows_before = self.traces.failed_rows.take();
        let unfinished_before = std::mem::take(&mut self.traces.unfinished_rows);
        // Stays counted if `f` panics: its effects were then not rolled back.
        self.traces.open_savepoints += 1;
        let answer = f(self);
        self.traces.open_savepoints -= 1;
        let dropped = self.traces.failed_statement.take();
        let answer = match self.traces.dropped_rows() {
            Some(row) if answer.is_ok() => Err(Failure::new(format!(
                "rows had failed, and their error was dropped: {row}"
            ))),
            _ => answer,
        };
        // The server refuses this if a statement of `f` failed and `f` did not return the error.
        let released =
            answer.and_then(
                |value| match (self.control(&format!("RELEASE {name}")), dropped) {
                    (Ok(()), _) => Ok(value),
                    (Err(_), Some(statement)) => Err(Failure::new(format!(
                        "a statement had failed, and its error was dropped: {statement}"
                    ))),
                    (Err(error), None) => Err(error.into()),
                },
            );
        if released.is_err() {
            // If the rollback fails, the session is lost, and `released` holds an error already.
            let undone = self.message(&format!(
                "ROLLBACK TO SAVEPOINT {name}; SELECT phasegate.after_rollback()"
            ));
            if undone
                .and_then(|()| self.control(&format!("RELEASE {name}")))
                .is_err()
            {
                self.traces.open_savepoints += 1;
            }
        }
        self.traces.failed_statement = before;
        self.traces.failed_rows = rows_before;
        self.traces.unfinished_rows = unfinished_before;
        released
    }

    /// Performs `f` for each of `rows`, and collects the results.
    ///
    /// The first failure ends the loop, and names its row by its place, counted from 1, and by `key`, the caller's own
    /// name for the row. Observers of the run receive an event after each row.
    ///
    /// Either all rows are performed or none: after a failure the phase cannot be committed even if the adapter drops
    /// the error, nor after a panic of `f` that was caught, unless a [`savepoint`](PhaseTx::savepoint) around the loop
    /// undoes it.
    ///
    /// The kill switch is read again after every 64 rows. Once it is not ON, the loop ends and the phase is rolled
    /// back, even if the adapter ignores the error.
    ///
    /// # Errors
    ///
    /// Returns the first failure of `f`, with its row, or an error if the kill switch stopped the phase.
    pub fn for_each_row<R, K: ToString, T>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        key: impl Fn(&R) -> K,
        mut f: impl FnMut(&mut PhaseTx<'tx>, &R) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let rows = rows.into_iter();
        let total = match rows.size_hint() {
            (least, Some(most)) if least == most => Some(least as u64),
            _ => None,
        };
        let mut answers = Vec::with_capacity(rows.size_hint().0.min(MOST_ROWS_RESERVED));
        self.all_rows(|tx| {
            for (row, ordinal) in rows.zip(1_u64..) {
                let answer = f(tx, &row)
                    .map_err(|failure| failure.at_row(ordinal, key(&row).to_string()))?;
                answers.push(answer);
                (tx.observer)(&Event::Rows {
                    phase: tx.phase,
                    done: ordinal,
                    total,
                });
                if ordinal % ROWS_BETWEEN_READINGS == 0 {
                    tx.stop_unless_on()?;
                }
            }
            Ok(answers)
        })
    }

    /// Performs `f`, which iterates over rows. If `f` fails or panics, the phase cannot be committed.
    pub(super) fn all_rows<T>(
        &mut self,
        f: impl FnOnce(&mut PhaseTx<'tx>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.traces.unfinished_rows += 1;
        let performed = f(self);
        self.traces.unfinished_rows -= 1;
        performed.inspect_err(|failure| {
            self.traces
                .failed_rows
                .get_or_insert_with(|| failure.to_string());
        })
    }

    pub(super) fn stop_unless_on(&mut self) -> Result<(), Failure> {
        self.traces.stop_unless_on(self.kill_switch)
    }

    /// Returns what the driver is given: the statement, and parameters that are encoded already. A text whose parameters
    /// are of unknown types is prepared first, as the driver itself would do.
    fn ready<'q, Q: Sql + ?Sized>(
        &mut self,
        sql: &'q Q,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<(Ready<'q>, Vec<Encoded>), SqlError> {
        let statement = match sql.form() {
            Form::Typed(sql, types) => {
                refuse_unsendable(sql)?;
                self.may_send(sql, types)?;
                Ready::Typed(sql, types)
            }
            // Without the sign of a parameter there is none whose type could be asked for.
            Form::Text(sql) if params.is_empty() && !sql.contains('$') => {
                refuse_unsendable(sql)?;
                self.may_send(sql, &[])?;
                Ready::Typed(sql, &[])
            }
            Form::Text(sql) => Ready::Prepared(self.prepared(sql, &[])?),
            Form::Prepared(statement) => Ready::Prepared(statement.clone()),
        };
        let params = params::encode(params, statement.types())?;
        Ok((statement, params))
    }

    pub(super) fn prepared(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<::postgres::Statement, SqlError> {
        refuse_unsendable(sql)?;
        self.may_send(sql, types)?;
        let answer = self.client.prepare_typed(sql, types);
        self.noted(answer)
    }

    /// Records a statement of the adapter before it is sent, or refuses one that the plan does not have. Each text that an
    /// adapter sends passes here.
    pub(super) fn may_send(&mut self, sql: &str, types: &[Type]) -> Result<(), SqlError> {
        let text = planned_text(sql, types);
        match &mut self.statements {
            Statements::Recorded(sent) => sent.record(&text),
            Statements::PlannedFor(phase) if !phase.may_send(&text) => {
                let statement = text.into_owned();
                self.traces
                    .unplanned
                    .get_or_insert_with(|| statement.clone());
                return Err(SqlError::NotPlanned { statement });
            }
            Statements::PlannedFor(_) => {}
        }
        Ok(())
    }

    pub(super) fn control(&mut self, sql: &str) -> Result<(), SqlError> {
        let answer = self.client.execute_typed(sql, &[]);
        self.noted(answer).map(drop)
    }

    /// Sends several statements in one message.
    fn message(&mut self, sql: &str) -> Result<(), SqlError> {
        let answer = self.client.batch_execute(sql);
        self.noted(answer)
    }

    pub(super) fn noted<T>(&mut self, answer: Result<T, ::postgres::Error>) -> Result<T, SqlError> {
        answer.map_err(|error| self.traces.note(error))
    }
}

/// A statement as the driver is given it.
enum Ready<'q> {
    Prepared(::postgres::Statement),
    /// A text, and the types of its parameters, which is sent at once.
    Typed(&'q str, &'q [Type]),
}

impl Ready<'_> {
    fn types(&self) -> &[Type] {
        match self {
            Ready::Prepared(statement) => statement.params(),
            Ready::Typed(_, types) => types,
        }
    }
}

impl Traces {
    pub(super) fn stop_unless_on(&mut self, kill_switch: &dyn KillSwitch) -> Result<(), Failure> {
        self.stopped = match kill_switch.read() {
            Ok(SwitchState::On) => return Ok(()),
            Ok(SwitchState::Off) => Some(RollbackCause::SwitchOff(kill_switch.describe_off())),
            Err(error) => Some(RollbackCause::SwitchUnreadable(error)),
        };
        Err(Failure::new("the kill switch is not ON any more"))
    }

    pub(super) fn note(&mut self, error: ::postgres::Error) -> SqlError {
        let severity = error.as_db_error().map(DbError::parsed_severity);
        match severity {
            // The first message names the cause; later ones only say that the transaction has failed.
            Some(Some(Severity::Error)) => {
                let describe = || crate::outcome::describe(&error);
                self.failed_statement.get_or_insert_with(describe);
            }
            // `FATAL` and `PANIC` end the session.
            Some(_) => self.lost = true,
            None => {
                let io = error.source().is_some_and(<dyn StdError>::is::<io::Error>);
                self.lost |= io || error.is_closed();
            }
        }
        error.into()
    }
}

/// The rows of a query, as they arrive; see [`PhaseTx::query_raw`].
pub struct RowStream<'a> {
    rows: RowIter<'a>,
    traces: &'a mut Traces,
}

impl Iterator for RowStream<'_> {
    type Item = Result<Row, SqlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next().transpose()?;
        Some(row.map_err(|error| self.traces.note(error)))
    }
}

impl fmt::Debug for RowStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowStream(..)")
    }
}

impl fmt::Debug for PhaseTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhaseTx({})", self.phase)
    }
}
