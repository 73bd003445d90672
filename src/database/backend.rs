//! The server's backend process of a session.

use ::postgres::Client;

/// How a session is ended from another one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EndBackend {
    /// Cancels its statement.
    Cancel,
    /// Terminates its backend.
    Terminate,
}

/// Ends the session with this process id, if its backend started at the given time. Returns whether the session still
/// existed; `None` if the server cannot be asked. A role may end sessions of its own.
pub(crate) fn end_backend(
    client: &mut Client,
    pid: i32,
    start: &str,
    how: EndBackend,
) -> Option<bool> {
    let function = match how {
        EndBackend::Cancel => "pg_cancel_backend",
        EndBackend::Terminate => "pg_terminate_backend",
    };
    let sql = format!(
        "SELECT pg_catalog.{function}(pid) FROM pg_catalog.pg_stat_get_activity($1) \
         WHERE backend_start OPERATOR(pg_catalog.=) $2::pg_catalog.text::pg_catalog.timestamptz"
    );
    let found = client.query(&sql, &[&pid, &start]).ok()?;
    Some(!found.is_empty())
}
