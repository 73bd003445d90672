//! What a phase does to the columns of tables that are guarded by contents.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::printable::first_unprintable;

/// What is done to a row, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ColumnChange {
    /// The phase deletes rows.
    #[serde(rename = "deleted")]
    Deleted,
    /// The phase updates rows.
    #[serde(rename = "updated")]
    Updated,
    /// The phase inserts rows.
    #[serde(rename = "inserted")]
    Inserted,
    /// Triggers delete rows.
    #[serde(rename = "deleted by triggers")]
    DeletedByTriggers,
    /// Triggers update rows.
    #[serde(rename = "updated by triggers")]
    UpdatedByTriggers,
    /// Triggers insert rows.
    #[serde(rename = "inserted by triggers")]
    InsertedByTriggers,
}

impl fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnChange::Deleted => "deleted",
            ColumnChange::Updated => "updated",
            ColumnChange::Inserted => "inserted",
            ColumnChange::DeletedByTriggers => "deleted by triggers",
            ColumnChange::UpdatedByTriggers => "updated by triggers",
            ColumnChange::InsertedByTriggers => "inserted by triggers",
        })
    }
}

/// What a phase does to one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedColumn {
    rows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<String>,
}

impl PlannedColumn {
    pub(crate) fn new(rows: u64, values: Option<String>) -> Self {
        PlannedColumn { rows, values }
    }

    /// Returns the number of rows in which the rehearsal changed the column. A live run is not compared with it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the digest of the new values and of those that they replace, as the server computed it; `None` if the
    /// values are not bound, so that a live run may write others into this column.
    #[must_use]
    pub fn values(&self) -> Option<&str> {
        self.values.as_deref()
    }
}

/// The columns of one table that a phase changes, by what is done to the rows. The names are those that the server prints;
/// `*` stands for the whole row: of an inserted row that has no key of its own, and of a deleted one, by its key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlannedContents {
    changes: BTreeMap<ColumnChange, BTreeMap<String, PlannedColumn>>,
}

impl PlannedContents {
    pub(crate) fn add(&mut self, change: ColumnChange, column: &str, planned: PlannedColumn) {
        let columns = self.changes.entry(change).or_default();
        columns.insert(column.to_owned(), planned);
    }

    /// Returns the columns by what is done to the rows.
    #[must_use]
    pub fn changes(&self) -> &BTreeMap<ColumnChange, BTreeMap<String, PlannedColumn>> {
        &self.changes
    }

    /// Returns each column, with what is done to the rows.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (ColumnChange, &str, &PlannedColumn)> {
        let changes = self.changes.iter();
        changes.flat_map(|(&change, columns)| {
            let columns = columns.iter();
            columns.map(move |(name, column)| (change, name.as_str(), column))
        })
    }

    /// Returns one column.
    pub(crate) fn column(&self, change: ColumnChange, name: &str) -> Option<&PlannedColumn> {
        self.changes.get(&change)?.get(name)
    }

    /// Returns whether a value of the table is bound.
    #[must_use]
    pub fn binds_values(&self) -> bool {
        let mut columns = self.changes.values().flat_map(BTreeMap::values);
        columns.any(|column| column.values.is_some())
    }

    /// Returns whether a value is bound of each thing that the phase itself does to the rows.
    #[cfg(feature = "ssh")]
    pub(crate) fn binds_each_change(&self) -> bool {
        let mut by_phase = (self.changes.iter()).filter(|(change, _)| {
            matches!(
                change,
                ColumnChange::Deleted | ColumnChange::Updated | ColumnChange::Inserted
            )
        });
        by_phase.all(|(_, columns)| columns.values().any(|column| column.values.is_some()))
    }

    /// Returns the same columns, with no value bound.
    pub(crate) fn without_values(mut self) -> Self {
        for column in self.changes.values_mut().flat_map(BTreeMap::values_mut) {
            column.values = None;
        }
        self
    }

    /// Returns the same columns, with those values bound that `other` has too.
    pub(crate) fn common_values(mut self, other: Option<&Self>) -> Self {
        for (change, columns) in &mut self.changes {
            let others = other.and_then(|other| other.changes.get(change));
            for (name, column) in columns {
                let same = others.and_then(|others| others.get(name));
                if same.is_none_or(|same| same.values != column.values) {
                    column.values = None;
                }
            }
        }
        self
    }

    pub(super) fn flaw(&self, table: &str) -> Option<String> {
        if self.changes.values().any(BTreeMap::is_empty) {
            return Some(format!("it names `{table}` without a column"));
        }
        let mut columns = self.changes.values().flatten();
        columns.find_map(|(name, column)| {
            let digits = |c: char| matches!(c, '0'..='9' | 'a'..='f');
            let values = column.values.as_deref();
            if first_unprintable(name).is_some() || name.is_empty() || name.len() > 300 {
                Some(format!("{name:?} is not the name of a column of `{table}`"))
            } else if values.is_some_and(|text| text.len() != 16 || !text.chars().all(digits)) {
                Some(format!(
                    "the values of {name} of `{table}` have a digest that has not 16 digits"
                ))
            } else {
                None
            }
        })
    }
}

/// Displays a line for each thing that is done to the rows: `updated: currency, to the rehearsed values; note, values not bound`.
impl fmt::Display for PlannedContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (change, columns)) in self.changes.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            let names = |bound: bool| -> Vec<&str> {
                let columns = columns.iter();
                let columns = columns.filter(|(_, column)| column.values.is_some() == bound);
                let said = |name| if name == "*" { "the whole row" } else { name };
                columns.map(|(name, _)| said(name.as_str())).collect()
            };
            let (bound, free) = (names(true), names(false));
            write!(f, "{change}: ")?;
            if !bound.is_empty() {
                write!(f, "{}, to the rehearsed values", bound.join(", "))?;
            }
            if !free.is_empty() {
                let and = if bound.is_empty() { "" } else { "; " };
                write!(f, "{and}{}, values not bound", free.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(json: &str) -> PlannedContents {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_bound_is_said_first() {
        let planned = contents(
            r#"{"inserted":{"*":{"rows":1,"values":"00000000000000aa"}},
                "updated":{"a":{"rows":2,"values":"00000000000000ab"},"b":{"rows":2}}}"#,
        );
        assert_eq!(planned.flaw("t"), None);
        assert_eq!(
            planned.to_string(),
            "updated: a, to the rehearsed values; b, values not bound\n\
             inserted: the whole row, to the rehearsed values"
        );
        assert!(planned.binds_values());
        assert!(!planned.without_values().binds_values());
    }

    #[test]
    fn of_two_rehearsals_what_both_have_is_bound() {
        let first = contents(
            r#"{"updated":{"a":{"rows":2,"values":"00000000000000ab"},"b":{"rows":1,"values":"0000000000000000"}}}"#,
        );
        let second = contents(
            r#"{"updated":{"a":{"rows":2,"values":"00000000000000ab"},"b":{"rows":1,"values":"0000000000000001"}}}"#,
        );
        let both = first.clone().common_values(Some(&second));
        let columns = &both.changes()[&ColumnChange::Updated];
        assert_eq!(columns["a"].values(), Some("00000000000000ab"));
        assert_eq!(columns["b"].values(), None);
        assert!(!first.common_values(None).binds_values());
    }

    #[test]
    fn what_no_server_says_is_a_flaw() {
        for json in [
            r#"{"updated":{}}"#,
            r#"{"updated":{"":{"rows":1}}}"#,
            r#"{"updated":{"a":{"rows":1,"values":"AB"}}}"#,
            "{\"updated\":{\"a\u{202e}\":{\"rows\":1}}}",
        ] {
            assert!(contents(json).flaw("t").is_some(), "{json}");
        }
        assert!(serde_json::from_str::<PlannedContents>(r#"{"seen":{}}"#).is_err());
    }
}
