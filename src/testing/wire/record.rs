//! The statements that a fake server has received.

use std::fmt;

use super::refusal::SqlRefusal;
use super::value::SqlValue;

/// A statement that a [`FakePostgres`](super::FakePostgres) has received; a message of several statements is several of
/// these.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedStatement {
    session: i32,
    text: String,
    params: Vec<SqlValue>,
    refusal: Option<SqlRefusal>,
}

impl RecordedStatement {
    pub(super) fn new(session: i32, text: &str, params: &[SqlValue]) -> Self {
        RecordedStatement {
            session,
            text: text.to_owned(),
            params: params.to_vec(),
            refusal: None,
        }
    }

    pub(super) fn refuse(&mut self, refusal: &SqlRefusal) {
        self.refusal = Some(refusal.clone());
    }

    /// Returns the process id of the session, by which statements of several sessions can be told apart.
    #[must_use]
    pub fn session(&self) -> i32 {
        self.session
    }

    /// Returns the text of the statement, without its semicolon.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the parameters.
    #[must_use]
    pub fn params(&self) -> &[SqlValue] {
        &self.params
    }

    /// Returns the error that the statement was refused with; `None` if it was performed.
    #[must_use]
    pub fn refusal(&self) -> Option<&SqlRefusal> {
        self.refusal.as_ref()
    }
}

/// Displays the text, and the parameters in parentheses if there are any.
impl fmt::Display for RecordedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.params.is_empty() {
            let params: Vec<_> = self.params.iter().map(SqlValue::to_string).collect();
            write!(f, " ({})", params.join(", "))?;
        }
        Ok(())
    }
}
