//! Databases that live as long as one test.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postgres::{Client, Config};

use super::error::ServerError;
use super::role::ScratchRole;
use super::{random, sql};
use crate::operator::Operator;

/// How long a drop may take: it runs in destructors, too.
const REMOVAL: Duration = Duration::from_secs(15);

/// An empty database of its own; it and its roles are dropped with it, whatever session is still
/// connected.
///
/// UTF-8, collation `C`, from `template0`. PUBLIC may connect and nothing else: neither TEMP nor
/// CREATE on the database, nor CREATE on the schema `public`.
///
/// A program killed by SIGKILL leaves it in a server of `DATABASE_URL`, where its name and those of
/// its roles begin with `phasegate_`.
#[derive(Debug)]
pub struct ScratchDatabase {
    name: String,
    /// The administrator in the database that `name` was created from.
    server: Config,
    /// Whether the server goes on when we have ended, so that what is left behind matters and roles
    /// need passwords.
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
            // Copying what is in no block of a new database is cheaper by file.
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
        // Before PostgreSQL 15 the schema belongs to the first superuser, and the REVOKE of others
        // is only a warning.
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

    /// The database's name, which needs no quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects to this database as the superuser, or as the user of `DATABASE_URL`, who owns it.
    pub fn admin(&self) -> Config {
        let mut config = self.server.clone();
        config.dbname(&self.name);
        config
    }

    /// Creates a role that may log in and connect, and nothing more; it is dropped with the
    /// database.
    ///
    /// `label` is part of its name, so that people can tell several apart. The name is new in the
    /// whole server.
    ///
    /// # Errors
    ///
    /// The server refused, or does not let the new role log in.
    pub fn create_role(&self, label: &str) -> Result<ScratchRole, ServerError> {
        let name = self.reserve_role(label);
        ScratchRole::create(&self.admin(), name, self.shared)
    }

    /// As [`create_role`](ScratchDatabase::create_role), for one that may perform phases.
    ///
    /// # Errors
    ///
    /// As [`create_role`](ScratchDatabase::create_role), and when the schema `phasegate` is not
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
    /// The server refused.
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

    /// Returns the name, and leaves the database where it is.
    pub(super) fn into_name(mut self) -> String {
        self.removed = true;
        self.name.clone()
    }

    /// Returns a name for a role that the caller creates; it is dropped with the database if it
    /// then exists.
    ///
    /// For roles that a script makes: roles belong to the server, and a shared server must be left
    /// as it was.
    pub fn reserve_role(&self, label: &str) -> String {
        let name = random::name(label);
        self.roles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(name.clone());
        name
    }

    /// Drops the database and its roles and says whether it worked; `drop` does the same and cannot
    /// say.
    ///
    /// # Errors
    ///
    /// The server refused, or did not answer in time; names the database that is left.
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

/// Rolls back prepared transactions: FORCE does not, and each can be ended only from within its
/// database.
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
        // A private server takes what is left with it.
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
