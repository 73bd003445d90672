use std::fmt;

use ::postgres::types::{ToSql, Type};

use crate::database::params::{Encoded, encode_one};
use crate::database::statement::SqlError;
use crate::outcome::Failure;

/// The parameters of one row, in the order of the statement's or the function's own.
///
/// Lent to the closure that [`RowBatch::call`](super::RowBatch::call) and
/// [`RowBatch::execute`](super::RowBatch::execute) are given, which adds each and gives it back.
#[must_use = "the closure gives it back, or the row has no parameters"]
pub struct RowParams<'p> {
    pub(super) sink: Sink<'p>,
    pub(super) given: usize,
    pub(super) refused: Option<Failure>,
}

/// What becomes of a parameter.
pub(super) enum Sink<'p> {
    /// It is counted.
    Count,
    /// It is encoded.
    Encode {
        types: &'p [Type],
        encoded: &'p mut Vec<Encoded>,
    },
}

impl RowParams<'_> {
    /// Adds the next parameter.
    pub fn with(mut self, value: &(dyn ToSql + Sync)) -> Self {
        if self.refused.is_none()
            && let Sink::Encode { types, encoded } = &mut self.sink
            && let Some(ty) = types.get(self.given)
        {
            match encode_one(value, ty) {
                Ok(value) => encoded.push(value),
                Err(source) => {
                    self.refused = Some(SqlError::Parameter(source).into());
                }
            }
        }
        self.given += 1;
        self
    }

    /// Says that this row cannot be performed, and why. The rows before it are performed first, as in
    /// a loop: if one of them fails, that is the one that is named.
    pub fn refuse(mut self, failure: impl Into<Failure>) -> Self {
        self.refused.get_or_insert_with(|| failure.into());
        self
    }
}

impl fmt::Debug for RowParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowParams({})", self.given)
    }
}
