//! A program of its own that uses the harness: this test binary, started again with other
//! variables.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use phasegate::testing::{ServerError, Shutdown, TestPostgres};

use crate::processes::signal;

const TASK: &str = "PHASEGATE_HARNESS_TASK";

static FOR_EVER: OnceLock<TestPostgres> = OnceLock::new();

/// Runs only when [`Program`] starts it.
#[test]
#[ignore = "a part of the other tests"]
fn program() {
    let Ok(task) = env::var(TASK) else { return };
    let found = match task.as_str() {
        "need a setting" => TestPostgres::builder()
            .setting("max_prepared_transactions", "7")
            .start(),
        _ => TestPostgres::find_or_start(),
    };
    let server = match found {
        Ok(server) => server,
        Err(error) => {
            let said = format!("{error}\n{}", error.hint().unwrap_or_default());
            println!("child: error={}", said.replace('\n', " | "));
            return;
        }
    };
    println!("child: source={}", server.source());
    println!("child: kind={:?}", server.source());
    if let Some(directory) = server.directory() {
        println!("child: directory={}", directory.display());
    }
    match task.as_str() {
        "wait" => {
            println!("child: ready=yes");
            std::thread::sleep(Duration::from_secs(100));
        }
        "wait beside a child" => {
            let mut other = Command::new("sleep")
                .arg("100")
                .spawn()
                .expect("sleep is there");
            println!("child: other={}", other.id());
            println!("child: ready=yes");
            other.wait().expect("it can be waited for");
        }
        "keep for ever" => {
            FOR_EVER.set(server).expect("it is set once");
            println!("child: ready=yes");
        }
        "need a setting" => println!("child: ready=yes"),
        "use" => {
            if server.directory().is_none() {
                let refused = server.restart(Shutdown::Kill);
                assert!(
                    matches!(refused, Err(ServerError::NotPrivate { .. })),
                    "{refused:?}"
                );
            }
            let database = server.create_database().expect("a database");
            let role = database.create_role("runner").expect("a role");
            println!("child: database={}", database.name());
            println!("child: role={}", role.name());
            let mut client = role
                .config()
                .connect(postgres::NoTls)
                .expect("the role may connect");
            let row = client
                .query_one("SELECT version(), current_user::text", &[])
                .expect("an answer");
            println!("child: version={}", row.get::<_, String>(0));
            println!("child: user={}", row.get::<_, String>(1));
            println!("child: ready=yes");
        }
        other => panic!("no such task: {other}"),
    }
}

/// This test binary at another task.
pub(crate) struct Program {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(task: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().expect("we are a program"));
        command.args(["--exact", "child::program", "--ignored", "--nocapture"]);
        command
            .env_remove("DATABASE_URL")
            .env_remove("PG_BIN_DIR")
            .env(TASK, task)
            .envs(variables.iter().copied());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("we can be started again");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    /// What the program tells of `name` next; panics with its error if it tells that.
    pub(crate) fn told(&mut self, name: &str) -> String {
        let mut seen = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.expect("its output is text");
            // The test runner writes the name of the test on the same line.
            if let Some((told, value)) = line
                .split_once("child: ")
                .and_then(|(_, fact)| fact.split_once('='))
            {
                if told == name {
                    return value.to_owned();
                }
                assert_ne!(told, "error", "the program failed: {value}");
            }
            seen.push(line);
        }
        panic!("the program ended without telling {name}: {seen:?}");
    }

    pub(crate) fn directory(&mut self) -> PathBuf {
        self.told("directory").into()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub(crate) fn wait(&mut self) {
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
