//! Where a command connects to: the one place that reads connection strings.

use super::answer::Failed;
use super::error::ProgramError;
use super::io::Io;
use crate::database::PostgresConnector;

/// Which role of the database a command connects as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Runner,
    Operator,
    Auditor,
    Owner,
    Reader,
}

impl Role {
    pub(super) const ALL: [Role; 5] = [
        Role::Owner,
        Role::Runner,
        Role::Operator,
        Role::Auditor,
        Role::Reader,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Runner => "runner",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Owner => "owner",
            Role::Reader => "reader",
        }
    }

    fn variable(self) -> String {
        format!("PHASEGATE_{}_URL", self.name().to_uppercase())
    }
}

/// Returns the connection of a role: that of its own variable, else that of `DATABASE_URL`.
pub(super) fn config(role: Role, io: &dyn Io) -> Result<::postgres::Config, ProgramError> {
    for variable in [role.variable(), "DATABASE_URL".to_owned()] {
        if let Some(url) = io.var(&variable) {
            let mut config: ::postgres::Config = url
                .parse()
                // The driver's error can have a part of the password.
                .map_err(|_| ProgramError::NotADatabase { variable })?;
            if config.get_application_name().is_none() {
                config.application_name("phasegate");
            }
            return Ok(config);
        }
    }
    Err(ProgramError::NoDatabase {
        role: role.name(),
        variable: role.variable(),
    })
}

/// Returns the connector of a role.
pub(super) fn connector(role: Role, io: &dyn Io) -> Result<PostgresConnector, ProgramError> {
    Ok(PostgresConnector::no_tls(config(role, io)?))
}

/// Opens a session of a role.
pub(super) fn client(role: Role, io: &dyn Io) -> Result<::postgres::Client, Failed> {
    use crate::database::Connector as _;
    let connection = connector(role, io)?.connect()?;
    Ok(connection.into_parts().0)
}
