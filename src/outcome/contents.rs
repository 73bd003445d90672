use std::fmt;

use serde::Deserialize;

use crate::base::printable::Printable;
use crate::plan::ColumnChange;

/// The columns in which a phase did not write what was rehearsed.
///
/// `Display` has a line for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ContentsDiffer {
    columns: Vec<ColumnDiffers>,
}

/// One column of a [`ContentsDiffer`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ColumnDiffers {
    /// The name of the table, as the server prints it.
    pub table: String,
    /// What was done to its rows.
    pub kind: ColumnChange,
    /// The name of the column; `*` for the whole row.
    pub column: String,
    /// The rows in which the phase changed the column.
    pub rows: u64,
    /// Whether the plan names the column. If so, it binds its values, and these were others.
    pub planned: bool,
}

impl ContentsDiffer {
    /// Returns each column, in the order of the tables.
    #[must_use]
    pub fn columns(&self) -> &[ColumnDiffers] {
        &self.columns
    }
}

impl fmt::Display for ContentsDiffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, column) in self.columns.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            let (table, kind) = (Printable(&column.table), column.kind);
            let name = match column.column.as_str() {
                "*" => "rows",
                name => name,
            };
            write!(f, "{end}  {table} {kind}, {}: ", Printable(name))?;
            if column.planned {
                f.write_str("other values than were rehearsed")?;
            } else {
                let rows = column.rows;
                write!(f, "not in the plan, and {rows} rows got another value")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_line() {
        let differ: ContentsDiffer = serde_json::from_str(
            r#"[{"table":"shop.orders","kind":"updated","column":"total_cents","rows":7,"planned":false},
                {"table":"shop.orders","kind":"deleted","column":"*","rows":1,"planned":true}]"#,
        )
        .unwrap();
        assert_eq!(
            differ.to_string(),
            "  shop.orders updated, total_cents: not in the plan, and 7 rows got another value\n  \
             shop.orders deleted, rows: other values than were rehearsed"
        );
        assert_eq!(differ.columns().len(), 2);
    }
}
