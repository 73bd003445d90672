use std::error::Error as StdError;
use std::fmt;

use ::postgres::error::{DbError, SqlState};

use super::{BoxError, Remedy};
use crate::base::printable::Printable;

/// One row of a phase's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRow {
    ordinal: u64,
    key: String,
}

impl InputRow {
    pub(crate) fn new(ordinal: u64, key: impl Into<String>) -> Self {
        let key = key.into();
        InputRow { ordinal, key }
    }

    /// Returns its place in the input, counted from 1.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Returns the caller's own name for it; empty if there is none.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for InputRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.ordinal)?;
        if !self.key.is_empty() {
            write!(f, " ({})", Printable(&self.key))?;
        }
        Ok(())
    }
}

/// Why a phase's input is invalid. This is found before any connection is opened.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}{}", self.row.as_ref().map(|row| format!("{row}: ")).unwrap_or_default(), Printable(.reason))]
pub struct Invalid {
    row: Option<InputRow>,
    reason: String,
}

impl Invalid {
    /// Creates an error that says what is wrong, where, and what to do about it.
    pub fn new(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Invalid { row: None, reason }
    }

    /// Names the invalid row: its place in the input, counted from 1, and the caller's own name for it (empty if there
    /// is none).
    #[must_use]
    pub fn at_row(mut self, ordinal: u64, key: impl Into<String>) -> Self {
        self.row = Some(InputRow::new(ordinal, key));
        self
    }

    /// Returns the invalid row, if there is one.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        self.row.as_ref()
    }
}

/// Why a simulator or a live adapter could not do its work, and at which row.
///
/// Every `std::error::Error + Send + Sync + 'static` converts into a failure by `?`; texts, boxed errors and
/// `anyhow::Error` by `.map_err(Failure::new)?`. Like `anyhow::Error`, and for the same reason, `Failure` is not
/// itself a [`std::error::Error`]; the [`Rollback`](super::Rollback) that carries it is.
///
/// `Display` prints the server's message, with the SQLSTATE and the constraint, but without the server's DETAIL, which
/// quotes values of the row; [`detail`](Failure::detail) returns it.
pub struct Failure {
    row: Option<InputRow>,
    source: BoxError,
}

impl Failure {
    /// Creates a failure of the adapter's own: from a text, or any error.
    pub fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Failure {
            row: None,
            source: source.into(),
        }
    }

    /// Names the failed row: its place in the input, counted from 1, and the caller's own name for it (empty if there
    /// is none). If the failure names a row already, that row is kept.
    #[must_use]
    pub fn at_row(mut self, ordinal: u64, key: impl Into<String>) -> Self {
        self.row.get_or_insert_with(|| InputRow::new(ordinal, key));
        self
    }

    /// Returns the failed row, if there is one.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        self.row.as_ref()
    }

    /// Returns what to do about it as full sentences, if the cause is an error of this crate or the server sent a
    /// HINT.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.source.remedy()
    }

    /// Returns the error itself.
    #[must_use]
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.source
    }

    /// Returns the SQLSTATE, if the server refused a statement.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&SqlState> {
        self.database().map(DbError::code)
    }

    /// Returns the violated constraint, if the server named one.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.database().and_then(DbError::constraint)
    }

    /// Returns the server's DETAIL, which may quote values of the row.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.database().and_then(DbError::detail)
    }

    fn database(&self) -> Option<&DbError> {
        database(&*self.source)
    }
}

/// Returns an error as one printable line, with the server's HINT: for places that cannot print it separately.
pub(crate) fn describe(error: &(dyn StdError + 'static)) -> String {
    in_one_line(error, true)
}

/// Returns an error as one printable line. For an error of the server that is its message, without DETAIL and HINT.
pub(crate) fn message_of(error: &(dyn StdError + 'static)) -> String {
    in_one_line(error, false)
}

/// Returns the server's HINT, as full sentences.
pub(crate) fn server_hint(error: &(dyn StdError + 'static)) -> Option<String> {
    let hint = Printable(hint_of(database(error)?)?).to_string();
    let mut characters = hint.trim().trim_end_matches('.').chars();
    let first = characters.next()?.to_uppercase();
    Some(first.chain(characters).chain(['.']).collect())
}

/// Returns the SQLSTATE, if the server refused a statement.
pub(crate) fn sqlstate_of<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e SqlState> {
    database(error).map(DbError::code)
}

fn in_one_line(error: &(dyn StdError + 'static), with_hint: bool) -> String {
    let Some(database) = database(error) else {
        let said = match (error.downcast_ref::<::postgres::Error>(), error.source()) {
            // The driver's message is general; that of its source is specific.
            (Some(_), Some(source)) => format!("{error} ({source})"),
            _ => error.to_string(),
        };
        return Printable(&said).to_string();
    };
    let code = database.code().code();
    let part = |what, text: Option<&str>| {
        text.map(|text| format!("{what}{}", Printable(text)))
            .unwrap_or_default()
    };
    let constraint = part(", constraint ", database.constraint());
    let hint = part(
        "; hint: ",
        (hint_of(database).filter(|_| with_hint)).map(|hint| hint.trim_end_matches('.')),
    );
    let line = part(", ", database.where_().and_then(line_of_copy));
    format!(
        "{} (SQLSTATE {code}{constraint}{line}{hint})",
        Printable(database.message())
    )
}

/// Returns the HINT of the server. The function that `protect` makes for a table names its columns, and fails without one
/// where they have changed since.
fn hint_of(database: &DbError) -> Option<&str> {
    let place = database.where_().unwrap_or_default();
    if *database.code() == SqlState::UNDEFINED_COLUMN && place.contains("function contents_of_") {
        return Some(
            "the columns of the table have changed since it was guarded by contents; its owner guards it again with phasegate.protect",
        );
    }
    database.hint()
}

/// Returns where `COPY` failed, without the values there: `COPY book, line 3`.
fn line_of_copy(context: &str) -> Option<&str> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let end = [line.find(", column "), line.find(": ")];
    Some(&line[..end.into_iter().flatten().min().unwrap_or(line.len())])
}

/// Returns the server's own error, at any depth in the chain of sources.
fn database<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e DbError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(database) = error.downcast_ref() {
            return Some(database);
        }
        next = error.source();
    }
    None
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::new(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = &self.row {
            write!(f, "{row}: ")?;
        }
        f.write_str(&describe(&*self.source))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Uses `Display`: the derived form would print the server's DETAIL.
        write!(f, "Failure({self})")
    }
}
