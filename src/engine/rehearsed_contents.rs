//! What a rehearsed phase does to the columns of tables that are guarded by contents.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::Measured;
use crate::plan::{PlannedColumn, PlannedContents};

/// The columns that got a time of the transaction, in phases before the one that is performed.
///
/// The phases of a rehearsal share their transaction, and so its `now()`. Where an earlier phase has written it, a row
/// that has it afterwards too may have been given it once more, or not: a live phase would differ in both, so that the
/// column is named, and no value of it is bound.
#[derive(Debug, Default)]
pub(super) struct TimesWritten {
    columns: BTreeSet<(String, String)>,
}

impl TimesWritten {
    /// Returns the columns that a phase has changed, with the digests of those values that a live run would have too.
    pub(super) fn contents(&mut self, measured: &Measured) -> BTreeMap<String, PlannedContents> {
        let mut contents: BTreeMap<String, PlannedContents> = BTreeMap::new();
        let mut written = BTreeSet::new();
        for (table, changes) in &measured.contents {
            for (&change, columns) in changes {
                for (name, seen) in columns {
                    let column = (table.clone(), name.clone());
                    let is_ambiguous = seen.again > 0 && self.columns.contains(&column);
                    if seen.rows > 0 || is_ambiguous {
                        let values = seen.values.clone().filter(|_| !is_ambiguous);
                        let planned = PlannedColumn::new(seen.rows, values);
                        let table = contents.entry(table.clone()).or_default();
                        table.add(change, name, planned);
                    }
                    if seen.now > 0 {
                        written.insert(column);
                    }
                }
            }
        }
        self.columns.append(&mut written);
        contents
    }
}
