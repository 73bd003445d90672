//! One call for each row, sent in a few messages for all of them.
//!
//! The rows of a chunk are sent as arrays, in one message; the server calls the function for one row after the other,
//! and returns each result as soon as it is available. So a failure belongs to the row after the last result, which
//! needs no further query. Values that the server could refuse before its first call are not sent in arrays: see
//! [`column`].

mod chunk;
mod column;
mod params;
mod progress;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use ::postgres::types::{FromSql, FromSqlOwned, Type};

use chunk::{Answer, ChunkSender};
pub use params::RowParams;
use params::Sink;

use self::progress::{CHUNK_TIME, Progress};
use super::statement::{SqlError, refuse_unsendable};
use super::tx::{MOST_ROWS_RESERVED, PhaseTx, ROWS_BETWEEN_READINGS};
use crate::database::params::Encoded;
use crate::outcome::{BoxError, Failure};

/// The number of rows in the first chunk: as many as a loop performs between two readings of the kill switch, since
/// the time for one row is not known yet.
const FIRST_CHUNK: usize = 64;

/// The most rows in a chunk.
const MOST_ROWS: usize = 4096;

/// The most bytes of parameters in a chunk; the last row may exceed it.
const MOST_BYTES: usize = 1 << 20;

/// The number of result bytes above which the next chunk is smaller.
const MOST_ANSWERED: usize = 4 << 20;

/// The least number of rows for which a statement is performed inside the server: that takes five more messages.
const LEAST_FOR_A_STATEMENT: usize = 8;

/// Returns the caller's own name for a row.
type Key<'t, R> = Box<dyn Fn(&R) -> String + 't>;

/// One call for each of some rows; made by [`PhaseTx::batch`].
#[must_use = "nothing is performed before `call` or `execute`"]
pub struct RowBatch<'t, 'tx, I: Iterator> {
    tx: &'t mut PhaseTx<'tx>,
    rows: I,
    key: Option<Key<'t, I::Item>>,
    types: &'t [Type],
}

impl<'tx> PhaseTx<'tx> {
    /// Calls a function of the server, or performs a statement, for each of `rows`: it is used like a loop, but sent
    /// in a few messages for all rows.
    ///
    /// [`call`](RowBatch::call) and [`execute`](RowBatch::execute) return what a loop would, in order, and fail at the
    /// same row as a loop would: the first, whose failure names it. The phase is then rolled back, also if the adapter
    /// drops the failure, since rows after that one may have been performed. To go on without them, call inside
    /// [`savepoint`](PhaseTx::savepoint).
    ///
    /// The rows are read as they are needed: some thousands, a mebibyte, or as many as are performed in 200 ms at a
    /// time. No row is kept, but each value that `check` returns is: return `()` from it where nothing is to be kept.
    /// Observers of the run receive how many rows are done, of how many if the iterator is exact. The kill switch is
    /// read between chunks, which take some 200 ms and have 64 rows at first, and within a chunk whose results take
    /// longer to arrive or to check.
    ///
    /// There are differences from a loop: a `statement_timeout`, `statement_timestamp()`, `current_query()` (which
    /// audit triggers may record), and the snapshot of a function that is not `VOLATILE` are those of the chunk. A
    /// deferred constraint is checked when the phase is closed; its failure belongs to no row, and names none.
    ///
    /// ```
    /// use phasegate::{Failure, PhaseTx};
    /// # struct Unit { address: String, title: String }
    ///
    /// fn create(tx: &mut PhaseTx<'_>, units: &[Unit]) -> Result<Vec<i64>, Failure> {
    ///     tx.batch(units).key(|unit| &unit.address).call(
    ///         "register.create_unit",
    ///         |unit, params| params.with(&unit.address).with(&unit.title),
    ///         |_, id: i64| if id > 0 { Ok(id) } else { Err(Failure::new("it has no number")) },
    ///     )
    /// }
    /// ```
    ///
    /// The closures for a row cannot keep their arguments for later, nor use the transaction itself:
    ///
    /// ```compile_fail
    /// fn twice(tx: &mut phasegate::PhaseTx<'_>) -> Result<Vec<u64>, phasegate::Failure> {
    ///     tx.batch([1_i64, 2]).execute(
    ///         "DELETE FROM item WHERE id = $1",
    ///         |id, params| params.with(id),
    ///         |_, _| Ok(tx.execute("DELETE FROM item", &[])?), // the transaction is busy with the rows
    ///     )
    /// }
    /// ```
    pub fn batch<I: IntoIterator>(&mut self, rows: I) -> RowBatch<'_, 'tx, I::IntoIter> {
        RowBatch {
            tx: self,
            rows: rows.into_iter(),
            key: None,
            types: &[],
        }
    }
}

impl<'t, I: Iterator> RowBatch<'t, '_, I> {
    /// Sets the caller's own name for a row; a failure names the row by it and by its place.
    pub fn key<K: ToString>(self, key: impl for<'r> Fn(&'r I::Item) -> K + 't) -> Self {
        RowBatch {
            key: Some(Box::new(move |row| key(row).to_string())),
            ..self
        }
    }

    /// Sets the types of the parameters, where the server cannot infer them: for a function that is overloaded or
    /// polymorphic.
    pub fn types(self, types: &'t [Type]) -> Self {
        RowBatch { types, ..self }
    }

    /// Calls `function`, named as in SQL, for each row, with its `params`; `check` gets the row and what the function
    /// returned, and its results are collected.
    ///
    /// ```no_run
    /// # fn create(tx: &mut phasegate::PhaseTx<'_>) -> Result<(), phasegate::Failure> {
    /// let ids: Vec<i64> = tx.batch(["a", "b"]).call(
    ///     "register.create_unit",
    ///     |name, params| params.with(name),
    ///     |_, id| Ok(id),
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// For a function that returns nothing, or nothing of interest, use [`Discard`]:
    ///
    /// ```no_run
    /// # use phasegate::batch::Discard;
    /// # fn touch(tx: &mut phasegate::PhaseTx<'_>) -> Result<(), phasegate::Failure> {
    /// tx.batch(1_i64..=1000).call("register.touch", |id, params| params.with(id), |_, Discard| Ok(()))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Parameters of most of the server's types are sent in chunks. Arrays, composites, ranges and types of extensions
    /// are sent row by row, which is slower, with the same results.
    ///
    /// # Errors
    ///
    /// Returns the first failure, with its row: of the function, of `params`, of `check`, or of a result that is
    /// invalid (null where `T` has no null; not exactly one value, where the function returns a set). Returns an error
    /// also if the kill switch stopped the phase.
    pub fn call<T: FromSqlOwned, U>(
        self,
        function: &str,
        params: impl for<'p> Fn(&I::Item, RowParams<'p>) -> RowParams<'p>,
        mut check: impl FnMut(&I::Item, T) -> Result<U, Failure>,
    ) -> Result<Vec<U>, Failure> {
        if !is_a_name(function) {
            return Err(SqlError::NotAFunction {
                name: function.to_owned(),
            }
            .into());
        }
        let begin = |tx: &mut PhaseTx<'_>, given: usize, types: &[Type], many| {
            ChunkSender::of_function(tx, function, given, types, many)
        };
        self.perform(2, begin, params, |row, answer| check(row, answer.value()?))
    }

    /// Performs a statement for each row, with its `params`; `check` gets the row and how many rows the statement
    /// changed, and its results are collected.
    ///
    /// ```no_run
    /// # use phasegate::Failure;
    /// # fn rename(tx: &mut phasegate::PhaseTx<'_>, names: &[(i64, String)]) -> Result<(), Failure> {
    /// tx.batch(names).key(|(id, _)| *id).execute(
    ///     "UPDATE item SET name = $2 WHERE id = $1",
    ///     |(id, name), params| params.with(id).with(name),
    ///     |_, changed| if changed == 1 { Ok(()) } else { Err(Failure::new("there is no such item")) },
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// An `INSERT`, `UPDATE` or `DELETE` without `RETURNING` is performed inside the server, for a chunk in one
    /// message. Any other statement, and parameters without a text form that is read back as the same value (`real`
    /// and `double precision` among them), are sent row by row, which is slower, with the same results.
    ///
    /// When a row that is performed inside the server fails, the server's log has the parameters of that row, as the
    /// context of the error. The failure does not contain them.
    ///
    /// To the server it is one statement for each row: a guard, and a statement-level trigger, is called for each.
    /// Where a single statement can be written for all rows, that is faster still, but names no row.
    ///
    /// # Errors
    ///
    /// As [`call`](RowBatch::call); and if the statement is transaction control.
    pub fn execute<U>(
        self,
        statement: &str,
        params: impl for<'p> Fn(&I::Item, RowParams<'p>) -> RowParams<'p>,
        mut check: impl FnMut(&I::Item, u64) -> Result<U, Failure>,
    ) -> Result<Vec<U>, Failure> {
        refuse_unsendable(statement)?;
        let begin = |tx: &mut PhaseTx<'_>, _, types: &[Type], many| {
            ChunkSender::of_statement(tx, statement, types, many)
        };
        self.perform(LEAST_FOR_A_STATEMENT, begin, params, |row, answer| {
            check(row, answer.changed()?)
        })
    }

    /// Performs the rows. `many` is the number of rows from which performing them together is worth its overhead.
    fn perform<U>(
        self,
        many: usize,
        begin: impl FnOnce(&mut PhaseTx<'_>, usize, &[Type], bool) -> Result<ChunkSender, SqlError>,
        params: impl for<'p> Fn(&I::Item, RowParams<'p>) -> RowParams<'p>,
        mut take: impl FnMut(&I::Item, Answer<'_>) -> Result<U, Failure>,
    ) -> Result<Vec<U>, Failure> {
        let RowBatch {
            tx,
            mut rows,
            key,
            types,
        } = self;
        let (least, most) = rows.size_hint();
        let total = (Some(least) == most).then_some(least as u64);
        let mut answers = Vec::with_capacity(least.min(MOST_ROWS_RESERVED));
        let ahead: VecDeque<I::Item> = rows.by_ref().take(many).collect();
        let Some(first) = ahead.front() else {
            return Ok(answers);
        };
        let counted = params(
            first,
            RowParams {
                sink: Sink::Count,
                given: 0,
                refused: None,
            },
        );
        let is_many = ahead.len() >= many;

        let named = |failure: Failure, ordinal: u64, row: &I::Item| {
            failure.at_row(
                ordinal,
                key.as_ref().map(|key| key(row)).unwrap_or_default(),
            )
        };
        let refused = counted.refused.map(|failure| named(failure, 1, first));
        let mut done = Progress { done: 0, total };
        let perform = |tx: &mut PhaseTx<'_>| -> Result<(), Failure> {
            if let Some(failure) = refused {
                return Err(failure);
            }
            let mut sender = begin(tx, counted.given, types, is_many)?;
            let mut rows = ahead.into_iter().chain(rows);
            let mut limit = FIRST_CHUNK;
            let mut switch_is_due = false;
            let mut chunk = Vec::new();
            let mut encoded = Vec::new();
            loop {
                let alone = gather(
                    &mut rows,
                    &params,
                    &mut sender,
                    limit,
                    &mut chunk,
                    &mut encoded,
                );
                if chunk.is_empty() && alone.is_none() {
                    return Ok(sender.end(tx)?);
                }
                if switch_is_due {
                    tx.stop_unless_on()?;
                    switch_is_due = false;
                }
                let started = Instant::now();
                let mut answered = 0;
                let is_chunk = !chunk.is_empty();
                if is_chunk {
                    answered = sender.perform(tx, &chunk, &mut done, &named, |row, answer| {
                        take(row, answer).map(|answer| answers.push(answer))
                    })?;
                    chunk.clear();
                }
                if let Some((row, refused)) = alone {
                    let place = done.done + 1;
                    let answer = match refused {
                        Some(failure) => Err(failure),
                        None => sender.perform_one(tx, &encoded, |answer| take(&row, answer)),
                    };
                    answers.push(answer.map_err(|failure| named(failure, place, &row))?);
                    done.one(tx);
                    // Row by row, the switch is read as in a loop.
                    if !is_chunk && !place.is_multiple_of(ROWS_BETWEEN_READINGS) {
                        continue;
                    }
                }
                switch_is_due = true;
                let took = started.elapsed();
                if took > CHUNK_TIME * 2 || answered > MOST_ANSWERED {
                    limit = (limit / 2).max(1);
                } else if took < CHUNK_TIME / 4 && answered < MOST_ANSWERED / 4 {
                    limit = (limit * 4).min(MOST_ROWS);
                } else if took < CHUNK_TIME && answered < MOST_ANSWERED / 2 {
                    limit = (limit * 2).min(MOST_ROWS);
                }
            }
        };
        tx.all_rows(perform).map(|()| answers)
    }
}

/// Adds rows to a chunk, up to one that has to be performed alone, or for which the closure refuses.
fn gather<R>(
    rows: &mut impl Iterator<Item = R>,
    params: &impl for<'p> Fn(&R, RowParams<'p>) -> RowParams<'p>,
    sender: &mut ChunkSender,
    limit: usize,
    chunk: &mut Vec<R>,
    encoded: &mut Vec<Encoded>,
) -> Option<(R, Option<Failure>)> {
    let began = Instant::now();
    while chunk.len() < limit
        && sender.bytes() < MOST_BYTES
        && (chunk.is_empty() || began.elapsed() < CHUNK_TIME)
    {
        let row = rows.next()?;
        if let Err(failure) = encode(&row, params, sender.types(), encoded) {
            return Some((row, Some(failure)));
        }
        if !sender.take(encoded) {
            return Some((row, None));
        }
        chunk.push(row);
    }
    None
}

fn encode<R>(
    row: &R,
    params: &impl for<'p> Fn(&R, RowParams<'p>) -> RowParams<'p>,
    types: &[Type],
    encoded: &mut Vec<Encoded>,
) -> Result<(), Failure> {
    encoded.clear();
    let params = params(
        row,
        RowParams {
            sink: Sink::Encode { types, encoded },
            given: 0,
            refused: None,
        },
    );
    match params.refused {
        Some(failure) => Err(failure),
        None if params.given != types.len() => Err(SqlError::ParameterCount {
            expected: types.len(),
            given: params.given,
        }
        .into()),
        None => Ok(()),
    }
}

/// Returns whether the text is the name of a function in SQL syntax: `create_unit`, `register."Create Unit"`.
fn is_a_name(text: &str) -> bool {
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next() {
                    None | Some((_, '\0')) => return false,
                    Some((_, '"')) if chars.next_if(|(_, next)| *next == '"').is_some() => {}
                    Some((at, '"')) => break at,
                    Some(_) => {}
                }
            };
            if end == 0 {
                return false;
            }
            rest = &quoted[end + 1..];
        } else {
            let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            if !rest.starts_with(is_letter) {
                return false;
            }
            rest = rest.trim_start_matches(|c| is_letter(c) || c.is_ascii_digit() || c == '$');
        }
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None => return rest.is_empty(),
        }
    }
}

/// Discards what a function returns, `void` and null included: the value is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discard;

impl FromSql<'_> for Discard {
    fn from_sql(_: &Type, _: &[u8]) -> Result<Self, BoxError> {
        Ok(Discard)
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Discard)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl<I: Iterator> fmt::Debug for RowBatch<'_, '_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowBatch({:?})", self.tx)
    }
}

#[cfg(test)]
mod tests {
    use super::is_a_name;

    #[test]
    fn a_function_is_called_by_a_name_and_by_nothing_else() {
        for name in ["f", "_f1$", "iu.fn", "a.b.c", "\"F\"", "\"a\"\"b\".é"] {
            assert!(is_a_name(name), "{name}");
        }
        for text in [
            "", ".", "f.", ".f", "f()", "f; x", "1f", "f g", "\"\"", "\"f", "f\"g\"", "\"f\0\"",
            "$1", "f -- ",
        ] {
            assert!(!is_a_name(text), "{text}");
        }
    }
}
