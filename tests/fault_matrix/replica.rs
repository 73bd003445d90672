//! A primary and a standby that streams from it, both private.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::testing::{Shutdown, Source, TestPostgres};
use phasegate::{
    connect::{ConnectError, Connection, Connector, PostgresConnector},
    operator::Operator,
};
use postgres::{Client, Config, NoTls};

use crate::server::{Database, database_on};

const BOUND: Duration = Duration::from_secs(20);

/// What the standby calls itself.
const NAME: &str = "matrix_standby";

pub(crate) struct Pair {
    primary: TestPostgres,
    standby: TestPostgres,
    pub(crate) database: Database,
    leads_to: Arc<Mutex<Config>>,
}

/// Leads to the primary, and once the standby is promoted, to that.
pub(crate) struct Follows(Arc<Mutex<Config>>);

impl Connector for Follows {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let config = self.0.lock().unwrap().clone();
        PostgresConnector::no_tls(config).connect()
    }
}

impl Pair {
    /// None if this server has no `pg_basebackup`.
    pub(crate) fn new() -> Option<Self> {
        let start = || {
            // Transaction numbers are compared: no worker of the server's may take one.
            TestPostgres::builder()
                .ignore_database_url()
                .setting("autovacuum", "off")
                .start()
                .unwrap()
        };
        let primary = start();
        let tool = match primary.source() {
            Source::Installed { bin_dir, .. } => bin_dir.join("pg_basebackup"),
            _ => PathBuf::new(),
        };
        if !tool.exists() {
            return None;
        }
        let database = database_on(&primary);
        let standby = start();
        standby.shut_down(Shutdown::Fast).unwrap();
        copy(
            &tool,
            primary.directory().unwrap(),
            standby.directory().unwrap(),
        );
        standby.start_again().unwrap();
        let leads_to = Arc::new(Mutex::new(database.runner.config()));
        let pair = Pair {
            primary,
            standby,
            database,
            leads_to,
        };
        pair.until_primary(
            "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'",
        );
        Some(pair)
    }

    pub(crate) fn connector(&self) -> Follows {
        Follows(Arc::clone(&self.leads_to))
    }

    /// The runner, on the standby.
    pub(crate) fn runner_on_standby(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(self.standby.directory().unwrap())
            .user(self.database.runner.name())
            .dbname(self.database.target.database());
        config
    }

    /// The administrator, on the standby.
    pub(crate) fn admin_on_standby(&self) -> Client {
        let mut config = self.standby.admin();
        config.dbname(self.database.target.database());
        config.connect(NoTls).unwrap()
    }

    fn until_primary(&self, sql: &str) {
        until(&mut self.database.admin(), sql);
    }

    /// The primary waits for the standby at each commit, from now on.
    pub(crate) fn synchronous(&self) {
        let mut admin = self.database.admin();
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{NAME}'");
        admin.execute(&set, &[]).unwrap();
        admin.execute("SELECT pg_reload_conf()", &[]).unwrap();
        self.until_primary(
            "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'",
        );
    }

    /// The standby has everything that is committed on the primary.
    pub(crate) fn caught_up(&self) {
        let at: String = self.database.ask("SELECT pg_current_wal_lsn()::text");
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'");
        until(&mut self.admin_on_standby(), &sql);
    }

    /// Cuts the standby off.
    pub(crate) fn cut_off(&self) {
        let mut standby = self.admin_on_standby();
        for sql in [
            "ALTER SYSTEM SET primary_conninfo = ''",
            "SELECT pg_reload_conf()",
        ] {
            standby.execute(sql, &[]).unwrap();
        }
        until(
            &mut standby,
            "SELECT count(*) = 0 FROM pg_stat_wal_receiver",
        );
    }

    /// Kills the primary, promotes the standby, and redirects connections to it.
    pub(crate) fn promote(&self) {
        self.primary.shut_down(Shutdown::Kill).unwrap();
        let mut standby = self.admin_on_standby();
        let promoted: bool = standby
            .query_one("SELECT pg_promote(true, 60)", &[])
            .unwrap()
            .get(0);
        assert!(promoted);
        *self.leads_to.lock().unwrap() = self.runner_on_standby();
    }

    /// An operator turns the switch on, on the new primary.
    pub(crate) fn switch_on(&self) {
        let mut operator = Operator::new(self.admin_on_standby());
        operator
            .switch_on("after the promotion", Duration::from_hours(1))
            .unwrap();
    }
}

/// Waits, with a bound, until the query answers true.
pub(crate) fn until(client: &mut Client, sql: &str) {
    let start = Instant::now();
    while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(start.elapsed() < BOUND, "not within {BOUND:?}: {sql}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Puts a copy of the primary where the standby has its data, as the account that the servers run as.
fn copy(tool: &Path, primary: &Path, standby: &Path) {
    let data = standby.join("data");
    let owner = fs::metadata(&data).unwrap();
    fs::remove_dir_all(&data).unwrap();
    let from = format!(
        "host={} user=postgres application_name={NAME}",
        primary.display()
    );
    let mut command = Command::new(tool);
    command
        .args([
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            "--pgdata",
        ])
        .arg(&data)
        .args(["--dbname", &from])
        .current_dir("/");
    if owner.uid() != fs::metadata("/proc/self").unwrap().uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
