use ::postgres::Client;

use super::operator::OperatorError;

/// Puts a table under guard, with its partitions: from then on a role that may perform phases
/// changes it inside an open phase, and nowhere else: not in `psql`, not after a smuggled
/// `ROLLBACK`, not after the phase is finished. Other roles are not concerned.
///
/// `client` is the table's owner; `table` is a name as SQL has it (`accounts`, `bank.accounts`).
/// Calling it again changes nothing. A partition that is attached later has no guard of its own
/// until it is called again; writes through the parent are guarded all the same. Until then, a role
/// that may write it by itself is refused when it opens a phase.
///
/// # Errors
///
/// When the server says no: no such table, not its owner, or the table can be written through a parent
/// that has no guard.
pub fn protect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    client
        .execute(
            "SELECT phasegate.protect($1::pg_catalog.text::pg_catalog.regclass)",
            &[&table],
        )
        .map(drop)
        .map_err(|error| OperatorError::new("protect the table", error))
}

/// Takes the guard off a table and its partitions.
///
/// # Errors
///
/// As [`protect`].
pub fn unprotect(client: &mut Client, table: &str) -> Result<(), OperatorError> {
    client
        .execute(
            "SELECT phasegate.unprotect($1::pg_catalog.text::pg_catalog.regclass)",
            &[&table],
        )
        .map(drop)
        .map_err(|error| OperatorError::new("take the guard off the table", error))
}
