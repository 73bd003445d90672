//! Where a command connects to: the one place that asks for a connection.

use super::answer::Failed;
use super::error::ProgramError;
use super::io::Io;
pub(super) use crate::connecting::Role;
use crate::connecting::{Connect, Endpoint};

/// Returns the connection of a role, as `psql` and this crate find it: `docs/connecting.md`.
///
/// A command does not guess: without anything that says which database is meant, it is refused.
pub(super) fn connector(role: Role, io: &dyn Io) -> Result<Endpoint, ProgramError> {
    let connect = Connect::within(io.environment()).role(role);
    if !connect.is_configured()? {
        return Err(ProgramError::NoDatabase {
            role: role.name(),
            variable: format!("PHASEGATE_{}_URL", role.name().to_uppercase()),
        });
    }
    Ok(connect.endpoint()?)
}

/// Opens a session of a role.
pub(super) fn client(role: Role, io: &dyn Io) -> Result<::postgres::Client, Failed> {
    Ok(connector(role, io)?.client()?)
}
