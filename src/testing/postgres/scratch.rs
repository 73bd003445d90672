//! Databases for single tests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postgres::{Client, Config};

use super::error::ServerError;
use super::role::ScratchRole;
use super::{random, sql};
use crate::operator::Operator;

/// The time limit of a drop, which runs in destructors too.
const REMOVAL: Duration = Duration::from_secs(15);

/// An empty database for one test; the database and its roles are dropped with it, even while other sessions are
/// connected.
///
/// The database is UTF-8, with collation `C`, made from `template0`. PUBLIC has only CONNECT: neither TEMP nor CREATE
/// on the database, nor CREATE on the schema `public`.
///
/// A program killed by SIGKILL leaves its databases in a server of `DATABASE_URL`; their names and those of their
/// roles begin with `phasegate_`.
#[derive(Debug)]
pub struct ScratchDatabase {
    name: String,
    /// The administrator's configuration, for the database that `name` was created from.
    server: Config,
    /// Whether the server keeps running after this process, so that nothing may be left in it, and roles need
    /// passwords.
    shared: bool,
    roles: Mutex<Vec<String>>,
    removed: bool,
}

impl ScratchDatabase {
    pub(super) fn create(
        server: &Config,
        shared: bool,
        template: &str,
    ) -> Result<Self, ServerError> {
        let name = random::name("db");
        let database = Self {
            name,
            server: server.clone(),
            shared,
            roles: Mutex::default(),
            removed: false,
        };
        let Self { name, .. } = &database;
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'{}",
            // Copying by file is cheaper if the new database has no changed blocks.
            if template == "template0" {
                ""
            } else {
                " STRATEGY file_copy"
            }
        );
        let close = format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC");
        sql::session(
            server,
            "create a scratch database",
            sql::LIMIT,
            move |client| {
                client.batch_execute(&create)?;
                client.batch_execute(&close)
            },
        )?;
        let open = sql::session(
            &database.admin(),
            "close the schema public",
            sql::LIMIT,
            |client| {
                client.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")?;
                let row = client.query_one(
                    "SELECT EXISTS (SELECT FROM pg_namespace, aclexplode(nspacl) \
                      WHERE nspname = 'public' AND grantee = 0 AND privilege_type = 'CREATE')",
                    &[],
                )?;
                row.try_get::<_, bool>(0)
            },
        )?;
        // Before PostgreSQL 15 the schema belongs to the first superuser, and a REVOKE by another role only causes a
        // warning.
        if open {
            let reason = "its schema public stays open to everybody, since before PostgreSQL 15 \
                          only a superuser can close it";
            return Err(ServerError::Unfit {
                reason: reason.into(),
                remedy: Some("Connect as a superuser.".into()),
            });
        }
        Ok(database)
    }

    /// Returns the database's name, which needs no quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a configuration that connects to this database as the superuser, or as the user of `DATABASE_URL`, who
    /// owns it.
    pub fn admin(&self) -> Config {
        let mut config = self.server.clone();
        config.dbname(&self.name);
        config
    }

    /// Creates a role that may log in and connect, without any other privilege; it is dropped with the database.
    ///
    /// `label` is part of its name, so that people can tell several roles apart. The name is new in the whole server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call, or does not let the new role log in.
    pub fn create_role(&self, label: &str) -> Result<ScratchRole, ServerError> {
        let name = self.reserve_role(label);
        ScratchRole::create(&self.admin(), name, self.shared)
    }

    /// As [`create_role`](ScratchDatabase::create_role), for a role that may perform phases.
    ///
    /// # Errors
    ///
    /// As [`create_role`](ScratchDatabase::create_role), and if the schema `phasegate` is not
    /// [installed](ScratchDatabase::install).
    pub fn create_runner(&self, label: &str) -> Result<ScratchRole, ServerError> {
        let role = self.create_role(label)?;
        let grant = format!("GRANT phasegate_runner TO {}", role.name());
        let doing = "let the new role perform phases";
        sql::session(&self.admin(), doing, sql::LIMIT, move |client| {
            client.batch_execute(&grant)
        })?;
        Ok(role)
    }

    /// Installs the schema `phasegate`, turns its kill switch on for a day, and returns the session of
    /// an operator. The roles of that schema stay in a shared server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the call.
    pub fn install(&self) -> Result<Operator, ServerError> {
        let client = self.install_schema()?;
        switched_on(client)
    }

    pub(super) fn install_schema(&self) -> Result<Client, ServerError> {
        let mut client = self.connect_admin()?;
        crate::schema::install(&mut client).map_err(|error| unfit(&error, error.hint()))?;
        Ok(client)
    }

    pub(super) fn connect_admin(&self) -> Result<Client, ServerError> {
        let connected = self.admin().connect(postgres::NoTls);
        connected.map_err(|error| ServerError::Sql {
            doing: "connect as the administrator".to_owned(),
            error,
        })
    }

    /// Returns the name, and does not drop the database.
    pub(super) fn into_name(mut self) -> String {
        self.removed = true;
        self.name.clone()
    }

    /// Returns a name for a role that the caller creates; it is dropped with the database if it
    /// then exists.
    ///
    /// It is for roles that a script creates: roles belong to the server, and a shared server must be left as it was.
    pub fn reserve_role(&self, label: &str) -> String {
        let name = random::name(label);
        self.roles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.clone());
        name
    }

    /// Drops the database and its roles, and returns whether that succeeded; `drop` does the same without a result.
    ///
    /// # Errors
    ///
    /// Returns an error with the name of the database if the server refuses the call, or does not respond in time.
    pub fn remove(mut self) -> Result<(), ServerError> {
        self.remove_once()
    }

    fn remove_once(&mut self) -> Result<(), ServerError> {
        if std::mem::replace(&mut self.removed, true) {
            return Ok(());
        }
        let doing = format!("drop the scratch database {}", self.name);
        let roles = std::mem::take(self.roles.get_mut().unwrap_or_else(PoisonError::into_inner));
        let (name, inside) = (self.name.clone(), self.admin());
        sql::session(&self.server, doing, REMOVAL, move |client| {
            forget_prepared(client, &name, &inside)?;
            client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
            roles
                .iter()
                .try_for_each(|role| client.batch_execute(&format!("DROP ROLE IF EXISTS {role}")))
        })
    }
}

/// Turns the kill switch on for a day, and returns the session of an operator.
pub(super) fn switched_on(client: Client) -> Result<Operator, ServerError> {
    let mut operator = Operator::new(client);
    let day = Duration::from_hours(24);
    operator
        .switch_on("a test", day)
        .map_err(|error| unfit(&error, error.hint()))?;
    Ok(operator)
}

fn unfit(error: &impl std::fmt::Display, remedy: Option<String>) -> ServerError {
    ServerError::Unfit {
        reason: error.to_string(),
        remedy,
    }
}

/// Rolls back prepared transactions: FORCE does not, and each can be ended only from within its database.
fn forget_prepared(
    client: &mut Client,
    name: &str,
    inside: &Config,
) -> Result<(), postgres::Error> {
    let prepared = client.query(
        "SELECT 'ROLLBACK PREPARED ' || quote_literal(gid) \
           FROM pg_prepared_xacts WHERE database = $1",
        &[&name],
    )?;
    if prepared.is_empty() {
        return Ok(());
    }
    let mut inside = inside.connect(postgres::NoTls)?;
    prepared
        .iter()
        .try_for_each(|row| inside.batch_execute(row.try_get(0)?))
}

impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        // A private server is removed with everything in it.
        if let Err(error) = self.remove_once()
            && self.shared
        {
            eprintln!("left behind: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
        }
    }
}
