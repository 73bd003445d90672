use std::thread;
use std::time::Duration;

use ::postgres::Client;
use ::postgres::error::SqlState;
use ::postgres::types::ToSql;

use super::operator::OperatorError;

/// The number of tries to lock a table.
const TRIES: u32 = 5;

/// The pause for writers between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// How the rows that a phase changes in a guarded table are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Guard {
    /// By the server's counters of the transaction, with one trigger before each statement, which costs little. A phase
    /// in which an `EXCEPTION` block undoes a statement on the table is refused, with the table's name, since a rollback
    /// does not reset the counters; [`PhaseTx::savepoint`](crate::PhaseTx::savepoint) is counted exactly.
    #[default]
    Counters,
    /// By triggers after each statement, which read the changed rows: for tables whose functions undo statements in
    /// `EXCEPTION` blocks. Every role that writes the table pays for it: a single-row statement takes 1.5 to 1.9 times the
    /// server CPU, and a large one writes temporary files.
    Statements,
    /// As `Statements`, and the columns and values that a phase writes are read too. The plan of a rehearsal names the
    /// columns; a live phase that changes another one is rolled back. With
    /// [`RehearsalReport::confirmed_by`](crate::runner::RehearsalReport::confirmed_by) it binds the values as well. Phases
    /// pay for it: about 6 us of server CPU for each row of ten columns, and 0.2 ms for each statement. Other sessions pay
    /// little more than for `Statements`. If the columns of the table change, protect it again.
    Contents,
}

impl Guard {
    fn name(self) -> &'static str {
        match self {
            Guard::Counters => "counters",
            Guard::Statements => "statements",
            Guard::Contents => "contents",
        }
    }
}

/// Guards a table and its partitions: from then on, a role that may perform phases changes the table inside an open
/// phase only: not in `psql`, not after a smuggled `ROLLBACK`, not after the phase is finished. Other roles write the
/// table as before, at the cost of a trigger that checks whether the role is a runner: some 2 us for each statement.
///
/// A partition that is a foreign table has no guard. Other roles write it through the parent as before; a phase that
/// writes it is refused.
///
/// Rows are counted by [`Guard::Counters`]; a table that [`protect_as`] has guarded keeps its way of counting, and a
/// partition has that of its parent.
///
/// `client` is a session of the table's owner; `table` is a name in SQL syntax (`accounts`, `bank.accounts`). Calling
/// it again changes nothing, and takes no lock. The first call takes a lock that writers queue behind: it waits 2 s
/// for the lock, lets the writers pass, and tries again, five times. A partition that is attached later has no guard
/// of its own until `protect` is called again; writes through the parent are guarded in any case. Until then, a role
/// that may write the partition directly is refused when it opens a phase.
///
/// # Errors
///
/// Returns an error if there is no such table, if the session's role does not own it, if it can be written through a
/// parent that has no guard, if it is guarded by statements or contents and a partition of it is a foreign table, if its access
/// method is not `heap`, or if a transaction that writes it does not end.
pub fn protect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.protect($1::pg_catalog.text::pg_catalog.regclass)";
    between_writers(client, sql, &[&table])
        .map_err(|error| OperatorError::of_the_owner("protect the table", error))
}

/// Guards a table as [`protect`] does, and sets how its rows are counted, also if the table is guarded already.
///
/// # Errors
///
/// As [`protect`], and if the table is a partition or child of a table that is counted in another way.
pub fn protect_as(client: &mut Client, table: &str, guard: Guard) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.protect($1::pg_catalog.text::pg_catalog.regclass, $2)";
    between_writers(client, sql, &[&table, &guard.name()])
        .map_err(|error| OperatorError::of_the_owner("protect the table", error))
}

/// Tries until the lock is granted between two transactions of writers.
fn between_writers(
    client: &mut Client,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<(), ::postgres::Error> {
    let mut tries = 1;
    loop {
        match client.execute(sql, params) {
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && tries < TRIES => {
                tries += 1;
                thread::sleep(BETWEEN_TRIES);
            }
            done => return done.map(drop),
        }
    }
}

/// Removes the guard of a table and its partitions.
///
/// # Errors
///
/// As [`protect`].
pub fn unprotect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.unprotect($1::pg_catalog.text::pg_catalog.regclass)";
    between_writers(client, sql, &[&table])
        .map_err(|error| OperatorError::of_the_owner("take the guard off the table", error))
}
