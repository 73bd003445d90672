//! An error of a fake server.

use std::fmt;

/// An error that a fake server returns for a statement: what a real one sends for a constraint, a trigger, or anything
/// else that it refuses.
///
/// ```
/// use phasegate::testing::SqlRefusal;
///
/// let twice = SqlRefusal::new("23505", "duplicate key value violates unique constraint")
///     .table("item")
///     .constraint("item_pkey");
/// assert_eq!(twice.sqlstate(), "23505");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRefusal {
    sqlstate: String,
    message: String,
    others: Vec<(u8, String)>,
}

impl SqlRefusal {
    /// Creates an error with this SQLSTATE and message.
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        SqlRefusal {
            sqlstate: sqlstate.to_owned(),
            message: message.into(),
            others: Vec::new(),
        }
    }

    fn with(mut self, field: u8, value: impl Into<String>) -> Self {
        self.others.push((field, value.into()));
        self
    }

    /// Sets the DETAIL.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with(b'D', detail)
    }

    /// Sets the HINT.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.with(b'H', hint)
    }

    /// Sets the name of the table.
    #[must_use]
    pub fn table(self, table: impl Into<String>) -> Self {
        self.with(b't', table)
    }

    /// Sets the name of the constraint.
    #[must_use]
    pub fn constraint(self, constraint: impl Into<String>) -> Self {
        self.with(b'n', constraint)
    }

    /// Sets the name of the data type, in which the schema `phasegate` sends the facts of an error.
    #[must_use]
    pub fn datatype(self, datatype: impl Into<String>) -> Self {
        self.with(b'd', datatype)
    }

    /// Returns the SQLSTATE.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        &self.sqlstate
    }

    /// Returns each field of the message, by its tag.
    pub(super) fn fields(&self) -> impl Iterator<Item = (u8, &str)> {
        let first = [(b'C', &*self.sqlstate), (b'M', &*self.message)];
        let others = self.others.iter().map(|(tag, value)| (*tag, &**value));
        first.into_iter().chain(others)
    }
}

impl fmt::Display for SqlRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)
    }
}

impl std::error::Error for SqlRefusal {}
