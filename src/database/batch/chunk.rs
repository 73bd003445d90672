//! The statements that are sent for the rows: one for a single row, and one query for many.

use std::time::Instant;

use ::postgres::fallible_iterator::FallibleIterator;
use ::postgres::types::{FromSqlOwned, Kind, ToSql, Type, WasNull};

use super::column::{Column, Form, encoded_as, form, quoted};
use super::progress::{CHUNK_TIME, Progress};
use crate::database::params::{Encoded, by_reference};
use crate::database::statement::{SqlError, first_word};
use crate::database::tx::PhaseTx;
use crate::observer::Event;
use crate::outcome::Failure;

/// The number of results after which observers are called.
const ANSWERS_BETWEEN_EVENTS: u64 = 64;

/// The most parameters of a statement that is performed inside the server: a function of the server has at most 100
/// arguments.
const MOST_PARAMETERS: usize = 99;

/// Checks for the privilege: a phase may have switched to a role that can write its tables, but has no privilege on
/// the schema.
const MAY_PERFORM_ROW: &str = "SELECT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') FROM pg_catalog.pg_proc AS p \
     WHERE p.pronamespace = pg_catalog.to_regnamespace('phasegate') AND p.proname = 'perform_row'";

/// The server's result for one row.
pub(super) enum Answer<'a> {
    /// A row, with the value in this column.
    Value(&'a ::postgres::Row, usize),
    /// The number of rows that the statement changed.
    Changed(u64),
}

impl Answer<'_> {
    pub(super) fn value<T: FromSqlOwned>(&self) -> Result<T, Failure> {
        match self {
            Answer::Value(row, column) => row
                .try_get(column)
                .map_err(|error| not_taken(error, row.columns()[*column].type_()).into()),
            Answer::Changed(_) => Err(Failure::new("the function returned no value")),
        }
    }

    pub(super) fn changed(&self) -> Result<u64, Failure> {
        match self {
            Answer::Value(row, column) => Ok(u64::try_from(row.try_get::<_, i64>(*column)?)?),
            Answer::Changed(changed) => Ok(*changed),
        }
    }
}

/// Returns why a result of this type could not be decoded.
fn not_taken(error: ::postgres::Error, ty: &Type) -> SqlError {
    match error.into_source() {
        _ if *ty == Type::VOID => SqlError::AnswersNothing,
        Some(source) if source.is::<WasNull>() => SqlError::NullAnswer,
        Some(source) => SqlError::Answer(source),
        None => SqlError::Answer("it cannot be read".into()),
    }
}

/// One statement for many rows, performed in chunks or row by row.
pub(super) struct ChunkSender {
    one: ::postgres::Statement,
    /// The types that the values are encoded as.
    types: Vec<Type>,
    /// Whether the statement for one row returns a value, rather than how many rows it changed.
    has_value: bool,
    many: Option<Many>,
}

struct Many {
    sql: String,
    /// The name of the prepared statement in the session, if there is one.
    prepared: Option<String>,
    columns: Vec<Column>,
}

impl ChunkSender {
    pub(super) fn of_function(
        tx: &mut PhaseTx<'_>,
        function: &str,
        given: usize,
        types: &[Type],
        many: bool,
    ) -> Result<Self, SqlError> {
        let placeholders: Vec<_> = (1..=given).map(|n| format!("${n}")).collect();
        let sql = format!("SELECT {function}({})", placeholders.join(", "));
        let one = tx.prepared(&sql, types)?;
        let many = (many && may_name(tx, one.params())?)
            .then(|| {
                Many::new(
                    one.params(),
                    |form, column| Some(form.argument(column)),
                    |arguments, _| format!("{function}({arguments})"),
                )
            })
            .flatten();
        let types = one.params().iter().map(encoded_as).collect();
        Ok(ChunkSender {
            types,
            one,
            has_value: true,
            many,
        })
    }

    pub(super) fn of_statement(
        tx: &mut PhaseTx<'_>,
        sql: &str,
        types: &[Type],
        many: bool,
    ) -> Result<Self, SqlError> {
        let one = tx.prepared(sql, types)?;
        let word = first_word(sql).to_ascii_uppercase();
        let many = if many
            && one.columns().is_empty()
            && one.params().len() <= MOST_PARAMETERS
            && matches!(&*word, "INSERT" | "UPDATE" | "DELETE")
            && is_true(tx, MAY_PERFORM_ROW, &[])?
        {
            tx.names += 1;
            let prepared = format!("phasegate_rows_{}", tx.names);
            let many = Many::new(one.params(), Form::text, |texts, count| {
                let literals = vec!["%L"; count].join(", ");
                format!("phasegate.perform_row('EXECUTE {prepared}({literals})', {texts})")
            });
            match many {
                Some(many) if prepare_counting(tx, &prepared, sql, one.params())? => Some(Many {
                    prepared: Some(prepared),
                    ..many
                }),
                _ => None,
            }
        } else {
            None
        };
        let types = one.params().iter().map(encoded_as).collect();
        Ok(ChunkSender {
            types,
            one,
            has_value: false,
            many,
        })
    }

    /// Returns the types that the parameters of a row are encoded as.
    pub(super) fn types(&self) -> &[Type] {
        &self.types
    }

    /// Returns the size of the pending chunk, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.many.as_ref().map(|many| many.columns.iter());
        columns.into_iter().flatten().map(Column::len).sum()
    }

    /// Adds a row to the pending chunk. Returns `false` if the row has to be performed alone.
    pub(super) fn take(&mut self, row: &[Encoded]) -> bool {
        let Some(many) = &mut self.many else {
            return false;
        };
        let large: usize = row.iter().map(|value| value.bytes().len()).sum();
        let mut values = row.iter().zip(&many.columns);
        if large > super::MOST_BYTES || !values.all(|(value, column)| column.form().takes(value)) {
            return false;
        }
        for (value, column) in row.iter().zip(&mut many.columns) {
            column.push(value);
        }
        true
    }

    /// Deallocates the statement that was prepared in the session.
    pub(super) fn end(self, tx: &mut PhaseTx<'_>) -> Result<(), SqlError> {
        match self.many.and_then(|many| many.prepared) {
            Some(prepared) => tx.control(&format!("DEALLOCATE {prepared}")),
            None => Ok(()),
        }
    }

    /// Performs one row alone.
    pub(super) fn perform_one<U>(
        &self,
        tx: &mut PhaseTx<'_>,
        row: &[Encoded],
        take: impl FnOnce(Answer<'_>) -> Result<U, Failure>,
    ) -> Result<U, Failure> {
        let params = by_reference(row);
        if self.has_value {
            let rows = tx.client.query(&self.one, &params);
            match &*tx.noted(rows)? {
                [row] => take(Answer::Value(row, 0)),
                rows => Err(SqlError::NotOneAnswer {
                    answers: rows.len(),
                }
                .into()),
            }
        } else {
            let changed = tx.client.execute(&self.one, &params);
            take(Answer::Changed(tx.noted(changed)?))
        }
    }

    /// Performs the pending chunk, and returns how many bytes the server sent. `take` is called with the result of
    /// each row, and the first failure names its row.
    pub(super) fn perform<R>(
        &mut self,
        tx: &mut PhaseTx<'_>,
        rows: &[R],
        progress: &mut Progress,
        named: &impl Fn(Failure, u64, &R) -> Failure,
        mut take: impl FnMut(&R, Answer<'_>) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let many = self
            .many
            .as_mut()
            .expect("a chunk was taken, which only what performs many does");
        let count = u32::try_from(rows.len()).map_err(Failure::new)?;
        let columns = many.columns.iter_mut();
        let arrays: Vec<_> = columns.map(|column| column.take(count)).collect();
        let unspecified = Type::new(String::new(), 0, Kind::Simple, String::new());
        let params = arrays.iter().map(|array| (array, unspecified.clone()));
        let PhaseTx {
            client,
            traces,
            observer,
            phase,
            kill_switch,
            publisher,
            ..
        } = tx;
        let published = publisher
            .condition(progress.done, progress.total)
            .map(|sets_the_name| format!("{} WHERE {sets_the_name}", many.sql));
        let sql = published.as_ref().unwrap_or(&many.sql);
        let mut answers = match client.query_typed_raw(sql, params) {
            Ok(answers) => answers,
            // The server accepts each of the values. An error that it raises before its first call would be raised for
            // the first row alone too.
            Err(error) => {
                let is_servers = error.as_db_error().is_some();
                let failure = Failure::from(traces.note(error));
                return Err(match rows {
                    [first, ..] if is_servers => named(failure, progress.done + 1, first),
                    _ => failure,
                });
            }
        };
        let base = progress.done;
        let mut bytes = 0;
        let mut left = rows.iter();
        let mut read = Instant::now();
        loop {
            let place = progress.done + 1;
            let answer = match answers.next() {
                Ok(answer) => answer,
                Err(error) => {
                    // After a lost connection, it is unknown which row the server was performing.
                    let is_servers = error.as_db_error().is_some();
                    let failure = Failure::from(traces.note(error));
                    return Err(match left.next() {
                        Some(row) if is_servers => named(failure, place, row),
                        _ => failure,
                    });
                }
            };
            let not_one = |answers| Failure::from(SqlError::NotOneAnswer { answers });
            match (answer, left.next()) {
                (Some(answer), row) => {
                    let ordinal = u64::try_from(answer.try_get::<_, i64>(0)?)? + base;
                    match row {
                        Some(row) if ordinal == place => {
                            bytes += answer.raw_size_bytes();
                            take(row, Answer::Value(&answer, 1))
                                .map_err(|failure| named(failure, place, row))?;
                        }
                        // The function returned a second row for a row that was taken already.
                        _ if ordinal < place => {
                            let row = usize::try_from(ordinal - base - 1)?;
                            return Err(named(not_one(2), ordinal, &rows[row]));
                        }
                        Some(row) => return Err(named(not_one(0), place, row)),
                        None => return Err(not_one(0)),
                    }
                }
                (None, Some(row)) => return Err(named(not_one(0), place, row)),
                (None, None) => break,
            }
            progress.done = place;
            if place.is_multiple_of(ANSWERS_BETWEEN_EVENTS) || left.len() == 0 {
                observer(&Event::Rows {
                    phase,
                    done: place,
                    total: progress.total,
                });
            }
            // The caller's own closure may be slow, or a row slower than those before it.
            if read.elapsed() > CHUNK_TIME && left.len() > 0 {
                traces.stop_unless_on(*kill_switch)?;
                read = Instant::now();
            }
        }
        Ok(bytes)
    }
}

impl Many {
    /// Returns `None` if a parameter cannot be sent in an array. `value` returns the parameter of one row in SQL,
    /// given the column that holds it, and `call` the call with all of them, given their number.
    fn new(
        types: &[Type],
        value: impl Fn(&Form, &str) -> Option<String>,
        call: impl FnOnce(&str, usize) -> String,
    ) -> Option<Self> {
        let forms: Vec<_> = types.iter().map(form).collect::<Option<_>>()?;
        if forms.is_empty() {
            return None;
        }
        let columns: Vec<_> = forms.into_iter().map(Column::new).collect();
        let each = |one: &dyn Fn(usize, &Form) -> Option<String>| {
            let all = columns.iter().enumerate();
            let all = all.map(|(n, column)| one(n + 1, column.form()));
            Some(all.collect::<Option<Vec<_>>>()?.join(", "))
        };
        let unnested = each(&|n, form| Some(format!("pg_catalog.unnest(${n}::{})", form.array())))?;
        let names = each(&|n, _| Some(format!("c{n}")))?;
        let values =
            each(&|n, form| Some(format!("{} AS c{n}", value(form, &format!("u.c{n}"))?)))?;
        let call = call(&each(&|n, _| Some(format!("r.c{n}")))?, columns.len());
        Some(Many {
            sql: format!(
                "SELECT r.place, {call} FROM (SELECT u.place, {values} \
                 FROM ROWS FROM ({unnested}) WITH ORDINALITY AS u({names}, place)) AS r"
            ),
            prepared: None,
            columns,
        })
    }
}

/// Prepares in SQL, under this name, the statement changed into one that returns how many rows it changed. Returns
/// whether the server accepts that.
fn prepare_counting(
    tx: &mut PhaseTx<'_>,
    name: &str,
    sql: &str,
    types: &[Type],
) -> Result<bool, SqlError> {
    let types: Vec<_> = types.iter().map(quoted).collect();
    // The server has accepted the text as one statement already.
    let sql = sql.trim_end_matches([' ', '\t', '\r', '\n', ';']);
    let counting = format!(
        "PREPARE {name}({}) AS WITH performed AS (\n{sql}\nRETURNING 1) \
         SELECT pg_catalog.count(*) FROM performed",
        types.join(", ")
    );
    tx.control(&format!("SAVEPOINT {name}"))?;
    let before = tx.traces.failed_statement.take();
    let prepared = tx.control(&counting);
    if prepared.is_err() {
        tx.control(&format!("ROLLBACK TO {name}"))?;
    }
    tx.traces.failed_statement = before;
    tx.control(&format!("RELEASE {name}"))?;
    Ok(prepared.is_ok())
}

/// Returns whether the role may name these types in SQL. A function's own definition can use a type without that
/// privilege.
fn may_name(tx: &mut PhaseTx<'_>, types: &[Type]) -> Result<bool, SqlError> {
    let schemas = types.iter().map(Type::schema);
    let schemas: Vec<_> = schemas.filter(|schema| *schema != "pg_catalog").collect();
    if schemas.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT pg_catalog.bool_and(pg_catalog.has_schema_privilege(s, 'USAGE')) FROM pg_catalog.unnest($1) AS s";
    is_true(tx, sql, &[(&schemas, Type::TEXT_ARRAY)])
}

fn is_true(
    tx: &mut PhaseTx<'_>,
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<bool, SqlError> {
    let rows = tx.client.query_typed(sql, params);
    match &*tx.noted(rows)? {
        [row] => Ok(row.try_get(0)?),
        _ => Ok(false),
    }
}
