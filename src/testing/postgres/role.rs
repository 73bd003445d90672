//! Roles that are dropped with a scratch database.

use postgres::Config;

use super::error::ServerError;
use super::{random, sql};

/// A role that may log in and connect to its scratch database, without any other privilege.
///
/// The role is neither a superuser nor has CREATEDB, CREATEROLE, REPLICATION or BYPASSRLS; it has neither CREATE nor
/// TEMP in the database. A test grants what it needs. The role is dropped with the database, not with this value.
#[derive(Debug, Clone)]
pub struct ScratchRole {
    name: String,
    config: Config,
}

impl ScratchRole {
    /// Creates `name` through `admin`; with a password in a `shared` server, whose sockets other users can reach.
    /// ours alone.
    pub(super) fn create(admin: &Config, name: String, shared: bool) -> Result<Self, ServerError> {
        let mut config = admin.clone();
        config.user(&name);
        let mut create = format!(
            "CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        );
        if shared {
            let password = random::password();
            create = format!("{create} PASSWORD '{password}'");
            config.password(password);
        }
        sql::session(
            admin,
            format!("create the role {name}"),
            sql::LIMIT,
            move |client| client.batch_execute(&create),
        )?;
        if shared {
            // The server's pg_hba.conf may admit only roles that it lists.
            sql::session(
                &config,
                format!("log in as the new role {name}"),
                sql::LIMIT,
                |_| Ok(()),
            )?;
        }
        Ok(Self { name, config })
    }

    /// Returns the role's name, which needs no quotes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a configuration that connects to the scratch database as this role.
    #[must_use]
    pub fn config(&self) -> Config {
        self.config.clone()
    }
}
