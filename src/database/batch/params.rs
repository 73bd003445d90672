use std::fmt;

use ::postgres::types::{ToSql, Type};

use crate::database::params::{Encoded, encode_one};
use crate::database::statement::SqlError;
use crate::outcome::Failure;

/// The parameters of one row, in the order of the statement or the function.
///
/// The closure of [`RowBatch::call`](super::RowBatch::call) and [`RowBatch::execute`](super::RowBatch::execute) gets
/// an empty one, adds each parameter, and returns it.
#[must_use = "the closure gives it back, or the row has no parameters"]
pub struct RowParams<'p> {
    pub(super) sink: Sink<'p>,
    pub(super) given: usize,
    pub(super) refused: Option<Failure>,
}

/// What is done with a parameter.
pub(super) enum Sink<'p> {
    /// It is only counted.
    Count,
    /// It is encoded into the row.
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

    /// Refuses this row, with a failure. The rows before it are performed first, as in a loop: if one of them fails,
    /// the failure names that row.
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
