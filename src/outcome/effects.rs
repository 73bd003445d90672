use std::fmt;

use serde::Deserialize;

use crate::base::printable::Printable;
use crate::plan::{PlannedRows, RowCounts};

/// The planned and the actual effects of a phase, for every table in either of them.
///
/// `Display` prints a table for people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EffectsDiffer {
    tables: Vec<TableDiffers>,
}

/// One table of an [`EffectsDiffer`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TableDiffers {
    /// The name of the table, as the server prints it.
    pub table: String,
    /// The rows in the plan; `None` if the table is not in the plan.
    pub planned: Option<PlannedRows>,
    /// The rows that were changed.
    pub seen: RowCounts,
}

impl EffectsDiffer {
    /// Returns each table, in the order of the names.
    #[must_use]
    pub fn tables(&self) -> &[TableDiffers] {
        &self.tables
    }
}

impl TableDiffers {
    /// Returns whether the table differs from the plan by more than its tolerance.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.lines().iter().any(|line| !line.fits)
    }

    /// Returns one line for each kind of change that was planned or seen.
    fn lines(&self) -> Vec<Line> {
        let planned = self.planned.map(|planned| planned.counts());
        let tolerance = self.planned.map_or(0, |planned| planned.tolerance());
        let planned = planned.unwrap_or_default().kinds();
        let both = planned.into_iter().zip(self.seen.kinds());
        both.filter(|((_, planned), (_, seen))| *planned > 0 || *seen > 0)
            .map(|((kind, planned), (_, seen))| {
                let tolerance = if planned == 0 { 0 } else { tolerance };
                Line {
                    kind,
                    planned,
                    tolerance,
                    seen,
                    fits: planned.abs_diff(seen) <= tolerance,
                }
            })
            .collect()
    }
}

struct Line {
    kind: &'static str,
    planned: u64,
    tolerance: u64,
    seen: u64,
    fits: bool,
}

impl fmt::Display for EffectsDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |name: &TableDiffers| Printable(&name.table).to_string().chars().count();
        let width = self.tables.iter().map(width).max().unwrap_or(0).max(5);
        write!(
            f,
            "  {:width$}  {:8}  {:>12}  {:>10}",
            "table", "rows", "planned", "seen"
        )?;
        for table in &self.tables {
            for line in table.lines() {
                let planned = match line.tolerance {
                    0 => line.planned.to_string(),
                    rows => format!("{} ±{rows}", line.planned),
                };
                write!(
                    f,
                    "\n  {:width$}  {:8}  {planned:>12}  {:>10}",
                    Printable(&table.table),
                    line.kind,
                    line.seen
                )?;
                match (line.fits, table.planned) {
                    (true, _) => {}
                    (false, Some(_)) => f.write_str("  <-")?,
                    (false, None) => f.write_str("  <- not in the plan")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_a_table_with_a_mark_at_each_difference() {
        let differ: EffectsDiffer = serde_json::from_str(
            r#"[{"table":"iu.unit","planned":{"inserted":3,"updated":100,"deleted":0,"tolerance":5},"seen":{"inserted":9,"updated":96,"deleted":4}},
                {"table":"iu.log","planned":null,"seen":{"inserted":1,"updated":0,"deleted":0}}]"#,
        )
        .unwrap();
        assert_eq!(
            differ.to_string(),
            [
                "  table    rows           planned        seen",
                "  iu.unit  inserted          3 ±5           9  <-",
                "  iu.unit  updated         100 ±5          96",
                "  iu.unit  deleted              0           4  <-",
                "  iu.log   inserted             0           1  <- not in the plan",
            ]
            .join("\n")
        );
        assert!(differ.tables().iter().all(TableDiffers::differs));
    }
}
