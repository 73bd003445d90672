use ::postgres::{Client, Row};

use crate::base::digest::Digest;
use crate::outcome::BlockingSession;

/// Returns the session that performs a phase of this plan, if the server reveals it.
pub(crate) fn blocking_run(client: &mut Client, plan: Digest) -> Option<BlockingSession> {
    let query = "SELECT pid, role, application_name, since, NULL::pg_catalog.text AS prepared \
                 FROM phasegate.holder_of_run($1)";
    let row = client
        .query_opt(query, &[&plan.as_bytes().as_slice()])
        .ok()??;
    read(&row).ok()
}

/// Reads a session from a row of the schema's functions.
pub(super) fn read(row: &Row) -> Result<BlockingSession, ::postgres::Error> {
    Ok(BlockingSession {
        pid: row.try_get("pid")?,
        role: row.try_get("role")?,
        application_name: row.try_get("application_name")?,
        since: row.try_get("since")?,
        prepared: row.try_get("prepared")?,
    })
}
