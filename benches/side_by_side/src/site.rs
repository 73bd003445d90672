//! The server and its two databases: the register, and the register under guard.

use phasegate::schema::protect;
use phasegate::testing::{ScratchDatabase, TestPostgres};
use postgres::config::Host;
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

use crate::install;
use crate::work::{Call, Charter, Outcome};
use postgres::types::Json;

/// What differs from the server's defaults. Two million rows are written between two checkpoints, and
/// nothing else is to begin by itself while a clock runs.
pub const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "on"),
    ("shared_buffers", "1GB"),
    ("max_wal_size", "20GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("synchronize_seqscans", "off"),
    ("max_connections", "20"),
];

/// From so many rows on there is a checkpoint before each measurement.
const WRITES_MUCH: u64 = 10_000;

/// A database with the register in it, as a child process or another language can reach it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Site {
    /// How the superuser connects.
    pub admin: String,
    /// How the role connects that performs the rows.
    pub runner: String,
}

pub struct Server {
    pub bare: Site,
    pub guarded: Site,
    /// Kept for as long as the server is.
    _databases: [ScratchDatabase; 2],
    postgres: TestPostgres,
}

impl Server {
    pub fn start() -> Outcome<Self> {
        let mut builder = TestPostgres::builder().ignore_database_url();
        for (name, value) in SETTINGS {
            builder = builder.setting(name, value);
        }
        let server = builder.start()?;
        let databases = [server.create_database()?, server.create_database()?];
        let [bare, guarded] = &databases;

        let role = bare.create_role("runner")?;
        let mut admin = bare.admin().connect(NoTls)?;
        install::install(&mut admin, role.name())?;
        admin.batch_execute(&format!(
            "CREATE SCHEMA bench; \
             CREATE TABLE bench.staged (ord bigint PRIMARY KEY, \"create\" jsonb, enact jsonb); \
             GRANT USAGE ON SCHEMA bench TO {0}; GRANT SELECT ON bench.staged TO {0}",
            role.name()
        ))?;
        let bare = Site {
            admin: text(&bare.admin())?,
            runner: text(&role.config())?,
        };

        drop(guarded.install()?);
        let role = guarded.create_runner("runner")?;
        let mut admin = guarded.admin().connect(NoTls)?;
        install::install(&mut admin, role.name())?;
        for table in ["iu.unit", "iu.lifecycle_log"] {
            protect(&mut admin, table)?;
        }
        let guarded = Site {
            admin: text(&guarded.admin())?,
            runner: text(&role.config())?,
        };
        Ok(Server {
            bare,
            guarded,
            _databases: databases,
            postgres: server,
        })
    }

    /// `PostgreSQL 15.18 from ..`
    pub fn version(&self) -> String {
        self.postgres.source().to_string()
    }
}

/// As libpq and all the others read it.
fn text(config: &Config) -> Outcome<String> {
    let [Host::Unix(directory)] = config.get_hosts() else {
        return Err("the server is not on one Unix socket".into());
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().ok_or("no user")?;
    let database = config.get_dbname().ok_or("no database")?;
    let directory = directory.display();
    Ok(format!(
        "host={directory} port={port} user={user} dbname={database}"
    ))
}

impl Site {
    pub fn admin(&self) -> Outcome<Client> {
        Ok(Client::connect(&self.admin, NoTls)?)
    }

    /// The register is empty. Outside of every clock.
    pub fn reset(&self, n: u64) -> Outcome<()> {
        let mut admin = self.admin()?;
        admin.batch_execute("TRUNCATE iu.unit, iu.lifecycle_log RESTART IDENTITY")?;
        Self::resolve(&mut admin, n)
    }

    /// Writes everything out, so that no later measurement waits for it.
    fn resolve(admin: &mut Client, n: u64) -> Outcome<()> {
        if n >= WRITES_MUCH {
            admin.batch_execute("CHECKPOINT")?;
        }
        Ok(())
    }

    /// Every draft has its place; enacting can begin. Outside of every clock.
    pub fn link(&self, n: u64) -> Outcome<()> {
        let mut admin = self.admin()?;
        admin.batch_execute(
            "SET session_replication_role = replica; \
             UPDATE iu.unit SET parent = nullif(split_part(address, '.', 1), address), \
               position = substring(address from '[0-9]+$')::integer",
        )?;
        admin.batch_execute("VACUUM iu.unit")?;
        Self::resolve(&mut admin, n)
    }

    /// A variant that did less than all of it is no faster.
    pub fn check(&self, n: u64) -> Outcome<()> {
        let found: i64 = self
            .admin()?
            .query_one(
                "SELECT least((SELECT count(*) FROM iu.unit WHERE state = 'enacted'), \
                              (SELECT count(*) / 2 FROM iu.lifecycle_log))",
                &[],
            )?
            .try_get(0)?;
        if found.unsigned_abs() == n {
            Ok(())
        } else {
            Err(format!("of {n} rows {found} were created, enacted and logged").into())
        }
    }

    /// Puts the rows into the server, for the variant that does not get them from a client.
    pub fn stage(&self, charter: &Charter, n: u64) -> Outcome<()> {
        let mut admin = self.admin()?;
        admin.batch_execute("TRUNCATE bench.staged")?;
        let insert = admin.prepare(
            "INSERT INTO bench.staged SELECT $3 + r.ord, r.created, r.enacted \
             FROM unnest($1::jsonb[], $2::jsonb[]) WITH ORDINALITY AS r (created, enacted, ord)",
        )?;
        let enacted = charter.inputs(Call::Enact, n);
        let mut rows = charter.inputs(Call::Create, n).zip(enacted);
        let mut staged = 0_i64;
        loop {
            let (create, enact): (Vec<_>, Vec<_>) = rows
                .by_ref()
                .take(10_000)
                .map(|(create, enact)| (Json(create), Json(enact)))
                .unzip();
            if create.is_empty() {
                return Ok(admin.batch_execute("VACUUM ANALYZE bench.staged")?);
            }
            admin.execute(&insert, &[&create, &enact, &staged])?;
            staged += i64::try_from(create.len())?;
        }
    }
}
