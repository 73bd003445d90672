//! A server with its client programs, and a database in which a plan is half performed and the switch is ON.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use phasegate::testing::{Source, TestPostgres};
use phasegate::{Error, Plan};
use postgres::{Config, NoTls};

use crate::pipeline::Draft;
use crate::server::{Database, database_on, drafting, plan_for};

pub(crate) struct Place {
    pub(crate) server: TestPostgres,
    pub(crate) database: Database,
    /// Of four phases, of which the first is committed.
    pub(crate) plan: Plan,
    pub(crate) bin: PathBuf,
}

pub(crate) fn drafted() -> Draft {
    Draft::of(&["a"])
}

/// Where the programs of a server are. None where it came without client programs, as the embedded one does.
pub(crate) fn programs_of(server: &TestPostgres) -> Option<PathBuf> {
    match server.source() {
        Source::Installed { bin_dir, .. } if bin_dir.join("pg_dump").exists() => {
            Some(bin_dir.clone())
        }
        source => {
            eprintln!("SKIPPED: {source} has no pg_dump beside it");
            None
        }
    }
}

impl Place {
    pub(crate) fn new() -> Option<Self> {
        Place::on(
            TestPostgres::builder()
                .ignore_database_url()
                .start()
                .unwrap(),
        )
    }

    pub(crate) fn on(server: TestPostgres) -> Option<Self> {
        let bin = programs_of(&server)?;
        let database = database_on(&server);
        let plan = plan_for(&database.target, &drafted());
        let half = database
            .live(plan.clone())
            .run(|run, on| drafting(run, on, &drafted()).map(drop));
        assert!(matches!(half, Err(Error::Incomplete(_))), "{half:?}");
        assert!(database.operator().status().unwrap().on);
        Some(Place {
            server,
            database,
            plan,
            bin,
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.database.target.database()
    }

    /// Runs a client program of the server, as its administrator, and returns what it said if it failed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let admin = self.server.admin();
        let postgres::config::Host::Unix(socket) = &admin.get_hosts()[0] else {
            panic!("a private server has a socket");
        };
        let mut command = Command::new(self.bin.join(program));
        command
            .env("PGHOST", socket)
            .env("PGUSER", admin.get_user().unwrap())
            .args(arguments);
        said(command)
    }

    /// Runs a program as the account that the server runs as, in its directory.
    pub(crate) fn run_as_server(
        server: &TestPostgres,
        program: &Path,
        arguments: &[&str],
    ) -> Result<Vec<u8>, String> {
        let directory = server.directory().unwrap();
        let owner = std::fs::metadata(directory).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory);
        if owner.uid() != std::fs::metadata("/proc/self").unwrap().uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        said(command)
    }

    pub(crate) fn dump(&self, arguments: &[&str]) -> (tempfile::NamedTempFile, String) {
        let dump = self
            .run("pg_dump", &[arguments, &[self.name()]].concat())
            .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), dump).unwrap();
        let path = file.path().display().to_string();
        (file, path)
    }

    /// A new database on this server.
    pub(crate) fn empty(&self, name: &str) -> Config {
        let mut admin = self.server.admin();
        let create = format!("CREATE DATABASE {name}");
        admin
            .connect(NoTls)
            .unwrap()
            .batch_execute(&create)
            .unwrap();
        admin.dbname(name);
        admin
    }

    /// The runner, in that database.
    pub(crate) fn runner_in(&self, copy: &Config) -> Config {
        let mut runner = copy.clone();
        runner.user(self.database.runner.name());
        runner
    }
}

fn said(mut command: Command) -> Result<Vec<u8>, String> {
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(output.stdout);
    }
    let (out, err) = (&output.stdout, &output.stderr);
    Err(String::from_utf8_lossy(&[out.as_slice(), err].concat()).into_owned())
}
