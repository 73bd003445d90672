use std::thread;
use std::time::Duration;

use ::postgres::Client;
use ::postgres::error::SqlState;

use super::operator::OperatorError;

/// How often the lock of a table is tried for.
const TRIES: u32 = 5;

/// How long writers have between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// Puts a table under guard, with its partitions: from then on a role that may perform phases
/// changes it inside an open phase, and nowhere else: not in `psql`, not after a smuggled
/// `ROLLBACK`, not after the phase is finished. Other roles write it as before, at the cost of its triggers.
///
/// `client` is the table's owner; `table` is a name as SQL has it (`accounts`, `bank.accounts`).
/// Calling it again changes nothing, and takes no lock. Otherwise it takes one that writers queue behind: it waits 2 s for
/// it, lets the writers pass, and tries again, five times. A partition that is attached later has no guard of its own
/// until it is called again; writes through the parent are guarded all the same. Until then, a role
/// that may write it by itself is refused when it opens a phase.
///
/// # Errors
///
/// Returns an error if there is no such table, the session's role does not own it, it can be written through a
/// parent that has no guard, a partition of it is a foreign table, or a transaction that writes it does not end.
pub fn protect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.protect($1::pg_catalog.text::pg_catalog.regclass)";
    between_writers(client, sql, table)
        .map_err(|error| OperatorError::of_the_owner("protect the table", error))
}

/// Tries until the lock is had between two transactions of writers.
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

/// Takes the guard off a table and its partitions.
///
/// # Errors
///
/// As [`protect`].
pub fn unprotect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    let sql = "SELECT phasegate.unprotect($1::pg_catalog.text::pg_catalog.regclass)";
    between_writers(client, sql, table)
        .map_err(|error| OperatorError::of_the_owner("take the guard off the table", error))
}
