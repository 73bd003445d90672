//! A bank with its roles, a repository with two clones, and people with SSH keys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasegate::program::CapturedIo;
use phasegate::testing::{ScratchDatabase, TestPostgres};
use postgres::config::Host;
use postgres::{Client, Config, NoTls};
use serde_json::Value;

const BANK: &str = "
    CREATE SCHEMA bank;
    CREATE TABLE bank.account (number text PRIMARY KEY, closed boolean NOT NULL DEFAULT false);
    CREATE TABLE bank.report (closed bigint NOT NULL);
    CREATE FUNCTION close_account(which text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      UPDATE bank.account SET closed = true WHERE number = which;
      IF NOT FOUND THEN RAISE 'no such account %', which; END IF;
    END $$;
    CREATE FUNCTION bank.also() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO bank.report (closed) VALUES (0);
      RETURN new;
    END $$;
    INSERT INTO bank.account SELECT 'A' || n FROM generate_series(1, 9) AS n;";

/// Which role of the database a command is given.
const ROLES: [&str; 4] = ["owner", "runner", "operator", "auditor"];

pub(crate) struct Site {
    database: ScratchDatabase,
    urls: Vec<(String, String)>,
    pub(crate) dir: tempfile::TempDir,
    // Stopped after the database is dropped: fields are dropped in this order.
    _server: TestPostgres,
}

/// The outcome of a command.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        // That of a stream is its last line.
        let last = self.out.trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Site {
    /// A bank without the schema `phasegate`, whose roles are not granted yet.
    pub(crate) fn new() -> Self {
        let server = TestPostgres::builder()
            .ignore_database_url()
            .start()
            .unwrap();
        let database = server.create_database().unwrap();
        let mut urls = vec![("PHASEGATE_OWNER_URL".to_owned(), url(&database.admin()))];
        for role in &ROLES[1..] {
            let made = database.create_role(role).unwrap();
            urls.push((
                format!("PHASEGATE_{}_URL", role.to_uppercase()),
                url(&made.config()),
            ));
        }
        let site = Site {
            database,
            urls,
            dir: tempfile::tempdir().unwrap(),
            _server: server,
        };
        site.sql(BANK);
        site
    }

    /// Grants what the page of `init` says, and what the phases need.
    pub(crate) fn grant(&self) {
        let names: Vec<String> = ROLES[1..].iter().map(|role| self.role(role)).collect();
        let [runner, operator, auditor] = &names[..] else {
            panic!()
        };
        let database = self.database.name();
        self.sql(&format!(
            "GRANT phasegate_runner TO {runner}; GRANT phasegate_operator TO {operator};
             GRANT phasegate_auditor TO {auditor};
             REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;
             GRANT USAGE ON SCHEMA bank TO {runner};
             GRANT SELECT, UPDATE ON bank.account TO {runner}; GRANT SELECT, INSERT ON bank.report TO {runner};"
        ));
    }

    fn role(&self, role: &str) -> String {
        let variable = format!("PHASEGATE_{}_URL", role.to_uppercase());
        let url = &self
            .urls
            .iter()
            .find(|(name, _)| *name == variable)
            .unwrap()
            .1;
        let config: Config = url.parse().unwrap();
        config.get_user().unwrap().to_owned()
    }

    pub(crate) fn admin(&self) -> Client {
        self.database.admin().connect(NoTls).unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) {
        self.admin().batch_execute(sql).unwrap();
    }

    pub(crate) fn closed(&self) -> i64 {
        let row = self
            .admin()
            .query_one("SELECT count(*) FROM bank.account WHERE closed", &[]);
        row.unwrap().get(0)
    }

    /// The real program, as an own process.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_closing"));
        command.env_clear();
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.urls.iter().cloned());
        command
    }

    pub(crate) fn closing<const N: usize>(&self, args: [&str; N]) -> Ran {
        self.command().args(args).output().unwrap().into()
    }

    /// Streams of a program in this process, with the roles of the bank.
    pub(crate) fn io(&self) -> CapturedIo {
        let urls = self.urls.iter();
        urls.fold(CapturedIo::new(), |io, (name, value)| {
            io.with_var(name, value)
        })
    }

    /// The program `phasegate`, in this process, with a person who types.
    pub(crate) fn phasegate<const N: usize>(&self, typed: &str, args: [&str; N]) -> Ran {
        let mut io = self.io();
        if !typed.is_empty() {
            io = io.with_line(typed);
        }
        let args = std::iter::once("phasegate").chain(args);
        let code = phasegate::program::standalone().run(args, &io);
        Ran {
            code: i32::from(code),
            out: io.answer(),
            err: io.messages(),
        }
    }

    /// Approves the change for `SG_1`, as the person whose key this is, who types the digest.
    pub(crate) fn approve(&self, dir: &str, name: &str, key: &Path) {
        let shown = self.phasegate("", ["show", dir, "--json"]).json();
        let digest = shown["plan"].as_str().unwrap();
        let args = [
            "approve",
            dir,
            "--gate",
            "SG_1",
            "--as",
            name,
            "--key",
            key.to_str().unwrap(),
            "--comment",
            "read",
        ];
        self.phasegate(&digest[..8], args).expect(0);
    }

    /// A new SSH key; returns its path.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(format!("key-{name}"));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen is needed: apt-get install openssh-client");
        assert!(made.success());
        path
    }
}

/// A bank that is set up.
pub(crate) fn prepared() -> Site {
    let site = Site::new();
    site.phasegate("", ["init", "bank.account", "bank.report"])
        .expect(0);
    site.grant();
    site
}

/// The line of `allowed_signers` of a key.
pub(crate) fn signer(name: &str, key: &Path) -> String {
    let public = fs::read_to_string(key.with_extension("pub")).unwrap();
    format!("{name} {public}")
}

/// Runs git in a directory.
#[track_caller]
pub(crate) fn git<const N: usize>(dir: &Path, args: [&str; N]) -> String {
    let mut command = Command::new("git");
    let identity = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "-c",
        "commit.gpgsign=false",
    ];
    let ran: Ran = command
        .arg("-C")
        .arg(dir)
        .args(identity)
        .args(args)
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 0, "git {args:?}: {}{}", ran.out, ran.err);
    ran.out
}

fn url(config: &Config) -> String {
    let host = match &config.get_hosts()[0] {
        Host::Tcp(host) => host.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let mut url = format!("host='{host}' user='{}'", config.get_user().unwrap());
    url.push_str(&format!(" dbname='{}'", config.get_dbname().unwrap()));
    if let Some(port) = config.get_ports().first() {
        url.push_str(&format!(" port={port}"));
    }
    if let Some(password) = config.get_password() {
        url.push_str(&format!(
            " password='{}'",
            String::from_utf8_lossy(password)
        ));
    }
    url
}
