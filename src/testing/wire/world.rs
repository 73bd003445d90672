//! What the sessions of a fake server share: the script, the schema, and the record.

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use postgres::types::{Oid, Type};

use super::encode::Column;
use super::own::{Caller, Known, Schema, call_of_each_row};
use super::record::RecordedStatement;
use super::refusal::SqlRefusal;
use super::script::{self, Fault, Reply, ScriptedStatement};
use super::sql;
use super::state::State;
use super::transaction::{Control, Ended};
use super::value::{self, SqlValue};

/// Why a statement has no result.
#[derive(Debug)]
pub(super) enum Interruption {
    Refused(SqlRefusal),
    /// The connection is dropped.
    Dropped,
}

impl From<SqlRefusal> for Interruption {
    fn from(refusal: SqlRefusal) -> Self {
        Interruption::Refused(refusal)
    }
}

/// The result of a statement.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<SqlValue>>,
    pub(super) tag: String,
    pub(super) warning: Option<SqlRefusal>,
    /// Why the statement failed after it had returned these rows.
    pub(super) failed: Option<SqlRefusal>,
}

pub(super) struct World {
    inner: Mutex<Inner>,
}

pub(super) struct Inner {
    pub(super) script: Vec<ScriptedStatement>,
    pub(super) schema: Schema,
    pub(super) received: Vec<RecordedStatement>,
    pub(super) committed: Vec<RecordedStatement>,
    /// The connection of each session, by its process id.
    pub(super) sessions: HashMap<i32, UnixStream>,
    pub(super) connections: i32,
}

impl World {
    pub(super) fn new(script: Vec<ScriptedStatement>, schema: Schema) -> Self {
        World {
            inner: Mutex::new(Inner {
                script,
                schema,
                received: Vec::new(),
                committed: Vec::new(),
                sessions: HashMap::new(),
                connections: 0,
            }),
        }
    }

    /// A panic of a script's closure leaves nothing half done here.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the types of a statement's parameters, and its columns, or why it is not known.
    pub(super) fn describe(
        &self,
        state: &State,
        statement: &str,
        declared: &[Oid],
    ) -> Result<(Vec<Type>, Vec<Column>), SqlRefusal> {
        let control = Control::of(statement);
        refuse_in_failed(state, control.as_ref())?;
        if control.is_some() {
            return Ok((Vec::new(), Vec::new()));
        }
        let placeholders = sql::placeholders(statement);
        let inner = self.lock();
        let each = call_of_each_row(statement);
        let looked_up = each.as_deref().unwrap_or(statement);
        let scripted = script::find(&inner.script, looked_up).map(|place| &inner.script[place]);
        let (types, columns) = match scripted.and_then(|known| Some((known, known.reply.as_ref()?)))
        {
            Some((_, Reply::Returns(columns, _))) if each.is_some() => {
                let place = ("place".to_owned(), Type::INT8);
                (None, [&[place], columns.as_slice()].concat())
            }
            Some((known, Reply::Returns(columns, _))) => {
                (Some(known.types.clone()), columns.clone())
            }
            Some((known, Reply::Changes(_))) => (Some(known.types.clone()), Vec::new()),
            None => Known::of(statement)
                .ok_or_else(|| unknown(statement))?
                .description(),
        };
        let declared: Vec<_> = declared.iter().map(|oid| Type::from_oid(*oid)).collect();
        let types = types.unwrap_or_else(|| {
            let declared = declared.iter().cloned().chain(std::iter::repeat(None));
            let types = declared.take(placeholders);
            types.map(|ty| ty.unwrap_or(Type::BYTEA)).collect()
        });
        if types.len() != placeholders {
            let message = format!(
                "the statement has {placeholders} parameters, and its script has the types of {}: {statement}",
                types.len()
            );
            let hint = "Declare one type for each: `ScriptedStatement::takes`.";
            return Err(SqlRefusal::new("42P18", message).hint(hint));
        }
        let mut both = declared.iter().zip(&types);
        if let Some((Some(sent), scripted)) =
            both.find(|(sent, scripted)| sent.as_ref().is_some_and(|sent| sent != *scripted))
        {
            let message = format!(
                "a parameter is sent as {sent}, and its script has {scripted}: {statement}"
            );
            return Err(SqlRefusal::new("42804", message));
        }
        Ok((types, columns))
    }

    /// Performs a statement, and records it.
    pub(super) fn perform(
        &self,
        state: &mut State,
        statement: &str,
        params: &[SqlValue],
    ) -> Result<Answer, Interruption> {
        let mut inner = self.lock();
        let place = inner.received.len();
        let record = RecordedStatement::new(state.pid, statement, params);
        inner.received.push(record);
        let answer = match call_of_each_row(statement) {
            Some(call) => inner.perform_each(state, &call, params),
            None => inner.perform(state, statement, params),
        };
        if let Err(Interruption::Refused(refusal)) = &answer {
            inner.received[place].refuse(refusal);
        }
        answer
    }

    /// A message has ended, and with it the transaction of one that is in no block.
    pub(super) fn message_ends(&self, state: &mut State) {
        let statements = state.transaction.message_ends();
        if state.transaction.status() == b'I' {
            state.phase = None;
        }
        self.lock().committed.extend(statements);
    }
}

impl Inner {
    fn perform(
        &mut self,
        state: &mut State,
        statement: &str,
        params: &[SqlValue],
    ) -> Result<Answer, Interruption> {
        let control = Control::of(statement);
        refuse_in_failed(state, control.as_ref())?;
        let scripted = script::find(&self.script, statement);
        let fault = scripted.and_then(|place| self.script[place].called(params));
        let drops_after = match fault {
            Some(Fault::Refuse(refusal)) => {
                if control == Some(Control::Commit) {
                    // A commit that is refused has rolled back.
                    state.transaction.abandon();
                    state.phase = None;
                }
                return Err(refusal.into());
            }
            Some(Fault::DropBefore) => return Err(Interruption::Dropped),
            Some(Fault::DropAfter) => true,
            None => false,
        };
        let reply = scripted.and_then(|place| self.script[place].reply.clone());
        let answer = match (control, reply) {
            (Some(control), _) => self.control(state, &control)?,
            (None, Some(reply)) => {
                let answer = scripted_answer(statement, params, &reply);
                let record = RecordedStatement::new(state.pid, statement, params);
                state.transaction.add(record);
                answer
            }
            (None, None) => self.known(state, statement, params)?,
        };
        if drops_after {
            // What is in no block is committed with the message.
            self.committed.extend(state.transaction.message_ends());
            return Err(Interruption::Dropped);
        }
        Ok(answer)
    }

    /// Performs a call for each row, up to the first that fails. Each is recorded as a statement of its own.
    fn perform_each(
        &mut self,
        state: &mut State,
        call: &str,
        arrays: &[SqlValue],
    ) -> Result<Answer, Interruption> {
        let arrays: Option<Vec<_>> = arrays
            .iter()
            .map(|array| match array {
                SqlValue::Bytes(array) => value::elements(array),
                _ => None,
            })
            .collect();
        let arrays = arrays.ok_or_else(|| unknown(call))?;
        let mut all = Answer::default();
        for place in 0..arrays.first().map_or(0, Vec::len) {
            let row = arrays.iter().map(|array| array.get(place).cloned());
            let row: Vec<_> = row.map(|value| value.unwrap_or(SqlValue::Null)).collect();
            self.received
                .push(RecordedStatement::new(state.pid, call, &row));
            let last = self.received.len() - 1;
            let one = match self.perform(state, call, &row) {
                Ok(one) => one,
                Err(Interruption::Refused(refusal)) => {
                    self.received[last].refuse(&refusal);
                    all.failed = Some(refusal);
                    break;
                }
                Err(Interruption::Dropped) => return Err(Interruption::Dropped),
            };
            let ordinal = i64::try_from(place + 1).unwrap_or(i64::MAX);
            let rows = one.rows.into_iter();
            all.rows
                .extend(rows.map(|row| [vec![ordinal.into()], row].concat()));
            all.columns = one.columns;
        }
        all.columns.insert(0, ("place".to_owned(), Type::INT8));
        all.tag = format!("SELECT {}", all.rows.len());
        Ok(all)
    }

    fn control(&mut self, state: &mut State, control: &Control) -> Result<Answer, SqlRefusal> {
        if *control == Control::Commit && state.transaction.is_open() {
            let committed = self.schema.commit(state.phase.take());
            committed.inspect_err(|_| state.transaction.abandon())?;
        }
        let controlled = state.transaction.control(control)?;
        match controlled.ended {
            Some(Ended::Committed(statements)) => self.committed.extend(statements),
            Some(Ended::RolledBack) => state.phase = None,
            None => {}
        }
        Ok(Answer {
            tag: controlled.tag.to_owned(),
            warning: controlled.warning,
            ..Answer::default()
        })
    }

    /// Performs a statement of the crate's own.
    fn known(
        &mut self,
        state: &mut State,
        statement: &str,
        params: &[SqlValue],
    ) -> Result<Answer, SqlRefusal> {
        let known = Known::of(statement).ok_or_else(|| unknown(statement))?;
        let (_, columns) = known.description();
        let rows = if known == Known::EndBackend {
            self.end_session(params)
        } else {
            let mut caller = Caller {
                pid: state.pid,
                role: &state.role,
                age: state.began.elapsed(),
                in_transaction: state.transaction.is_open(),
                phase: &mut state.phase,
            };
            self.schema.perform(known, statement, params, &mut caller)?
        };
        let returned = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(Answer {
            tag: script::tag(statement, returned, !columns.is_empty()),
            columns,
            rows,
            warning: None,
            failed: None,
        })
    }

    /// Ends the session with this process id, if there is one.
    fn end_session(&mut self, params: &[SqlValue]) -> Vec<Vec<SqlValue>> {
        let pid = match params.first() {
            Some(SqlValue::Int(pid)) => i32::try_from(*pid).ok(),
            _ => None,
        };
        match pid.and_then(|pid| self.sessions.get(&pid)) {
            Some(stream) => {
                // The session may just have ended.
                let _ = stream.shutdown(Shutdown::Both);
                vec![vec![true.into()]]
            }
            None => Vec::new(),
        }
    }
}

fn scripted_answer(statement: &str, params: &[SqlValue], reply: &Reply) -> Answer {
    match reply {
        Reply::Changes(by) => Answer {
            tag: script::tag(statement, by(params), false),
            ..Answer::default()
        },
        Reply::Returns(columns, by) => {
            let rows = by(params);
            let returned = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            Answer {
                tag: script::tag(statement, returned, true),
                columns: columns.clone(),
                rows,
                warning: None,
                failed: None,
            }
        }
    }
}

fn refuse_in_failed(state: &State, control: Option<&Control>) -> Result<(), SqlRefusal> {
    if state.transaction.has_failed() && !control.is_some_and(Control::ends_failure) {
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        return Err(SqlRefusal::new("25P02", message));
    }
    Ok(())
}

fn unknown(statement: &str) -> SqlRefusal {
    let words: Vec<_> = statement.split_whitespace().take(4).collect();
    let words = words.join(" ");
    SqlRefusal::new("0A000", format!("the fake does not know the statement: {statement}")).hint(format!(
        "Script it: `ScriptedStatement::beginning({words:?})`, with `changes` or `returns`; or run this test on a \
         `TestPostgres`."
    ))
}
