//! A phase that performs statements, each of which may fail by itself, and keeps what the server says of them.

use std::collections::BTreeMap;
use std::io::Write;

use phasegate::{
    Error, Execute, Failure, Mode, Perform, PhaseSpec, PhaseTx, Run, Start, Switch, Ungated,
    batch::Discard,
};
use serde::{Deserialize, Serialize};

/// One statement, or what is performed as many.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Does {
    Statement(String),
    /// A function for each key, by the crate's row calls.
    Rows {
        function: String,
        keys: Vec<i64>,
    },
    Copy {
        statement: String,
        lines: String,
    },
    /// A statement that is undone by its savepoint.
    Undone(String),
    /// A block that undoes a part of itself.
    PartlyUndone(String),
}

impl Does {
    /// Whether rows are written that do not stay: the statistics of the transaction have them.
    fn undoes(&self) -> bool {
        match self {
            Does::Statement(_) | Does::Copy { .. } => false,
            Does::Rows { function, .. } => function == "shop.touch",
            Does::Undone(_) | Does::PartlyUndone(_) => true,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) number: usize,
    pub(crate) does: Vec<Does>,
    /// Performed last: what is deferred happens while it can still be seen.
    pub(crate) resolve: Option<String>,
}

/// What a phase leaves for the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// What each statement said that it did; none where it failed or was undone.
    pub(crate) tags: Vec<Option<u64>>,
    /// For each table that was touched: rows inserted, updated, deleted, by the statistics of the transaction. They
    /// count what a savepoint took back, so they are exact only where none did.
    pub(crate) tried: BTreeMap<u32, [u64; 3]>,
    pub(crate) is_exact: bool,
}

impl PhaseSpec for Change {
    const NAME: &'static str = "change";
    type Gate = Ungated;
    type After = Start;
    type Output = Seen;

    fn instance(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

pub(crate) struct Performs;

impl Execute<Change> for Performs {
    fn execute(&mut self, change: &Change, (): (), tx: &mut PhaseTx<'_>) -> Result<Seen, Failure> {
        let mut tags = Vec::new();
        for does in &change.does {
            let tag = tx.savepoint(|tx| perform(does, tx));
            tags.push(tag.ok());
        }
        let resolved = match &change.resolve {
            Some(resolve) => tx.savepoint(|tx| Ok(tx.execute(resolve.as_str(), &[])?)),
            None => Ok(0),
        };
        let touched = tx.query(
            "SELECT s.relid, s.n_tup_ins, s.n_tup_upd, s.n_tup_del FROM pg_stat_xact_user_tables AS s \
             WHERE s.schemaname <> 'phasegate' AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0",
            &[],
        )?;
        let count = |row: &postgres::Row, column| u64::try_from(row.get::<_, i64>(column)).unwrap();
        let tried = touched
            .iter()
            .map(|row| (row.get(0), [count(row, 1), count(row, 2), count(row, 3)]))
            .collect();
        Ok(Seen {
            is_exact: resolved.is_ok()
                && tags.iter().all(Option::is_some)
                && !change.does.iter().any(Does::undoes),
            tags,
            tried,
        })
    }
}

fn perform(does: &Does, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    match does {
        Does::Statement(statement) | Does::PartlyUndone(statement) => {
            Ok(tx.execute(statement.as_str(), &[])?)
        }
        Does::Rows { function, keys } => {
            let done = tx.batch(keys).call(
                function,
                |key, params| params.with(*key),
                |_, _: Discard| Ok(()),
            )?;
            Ok(done.len() as u64)
        }
        Does::Copy { statement, lines } => {
            tx.copy_in(statement, |to| Ok(to.write_all(lines.as_bytes())?))
        }
        Does::Undone(statement) => {
            tx.execute(statement.as_str(), &[])?;
            Err(Failure::new("undone"))
        }
    }
}

/// Performs those changes, and returns what each saw, or how it failed.
pub(crate) fn perform_all<'run, M, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    changes: &[Change],
) -> Vec<Result<Seen, Error>>
where
    M: Mode,
    W: Perform<M, Change>,
{
    let one = |change: &Change| {
        let receipt = run.phase(change.clone()).perform(on, Ungated, Start)?;
        Ok(receipt.into_output())
    };
    changes.iter().map(one).collect()
}
