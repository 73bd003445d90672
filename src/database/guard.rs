use std::thread;
use std::time::Duration;

use ::postgres::Client;
use ::postgres::error::SqlState;

use super::operator::OperatorError;

/// The number of tries to lock a table.
const TRIES: u32 = 5;

/// The pause for writers between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// Guards a table and its partitions: from then on, a role that may perform phases changes the table inside an open
/// phase only: not in `psql`, not after a smuggled `ROLLBACK`, not after the phase is finished. Other roles write the
/// table as before, at the cost of its triggers.
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
/// parent that has no guard, if a partition of it is a foreign table, or if a transaction that writes it does not end.
pub fn protect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.protect($1::pg_catalog.text::pg_catalog.regclass)";
    between_writers(client, sql, table)
        .map_err(|error| OperatorError::of_the_owner("protect the table", error))
}

/// Tries until the lock is granted between two transactions of writers.
fn between_writers(client: &mut Client, sql: &str, table: &str) -> Result<(), ::postgres::Error> {
    let mut tries = 1;
    loop {
        match client.execute(sql, &[&table]) {
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
    between_writers(client, sql, table)
        .map_err(|error| OperatorError::of_the_owner("take the guard off the table", error))
}
