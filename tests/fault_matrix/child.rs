//! A client that is killed: this test binary, started again to perform one plan.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use phasegate::{Digest, Plan, connect::PostgresConnector, runner::Event};
use postgres::Config;
use postgres::config::Host;

use crate::cases::Case;
use crate::pipeline::Draft;

const PLAN: &str = "PHASEGATE_FAULT_PLAN";
const ROWS: &str = "PHASEGATE_FAULT_ROWS";
const WHERE: &str = "PHASEGATE_FAULT_WHERE";
const STOP: &str = "PHASEGATE_FAULT_STOP";

/// What an event is called in the matrix.
pub(crate) fn name(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Passed { step, .. } => Some(format!("{step:?}")),
        Event::Rows { done, .. } => Some(format!("row {done}")),
        _ => None,
    }
}

/// Runs only when [`performing`] starts it.
#[test]
#[ignore = "a part of the other tests"]
fn performs() {
    let Ok(bytes) = env::var(PLAN) else { return };
    let (rows, stop) = (env::var(ROWS).unwrap(), env::var(STOP).unwrap());
    let place = env::var(WHERE).unwrap();
    let [directory, user, database] = place.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{place}")
    };
    let mut config = Config::new();
    config.host_path(directory).user(user).dbname(database);
    let draft = Draft::of_rows(rows.split('\n').map(str::to_owned).collect());
    let plan = Plan::from_saved(bytes.as_bytes(), Digest::of(bytes.as_bytes())).unwrap();
    let case = Case {
        draft,
        again: None,
        plan,
    };
    let observer = move |event: &Event<'_>| {
        let Some(name) = name(event) else { return };
        if name == stop {
            println!("child: at={name}");
            std::io::stdout().flush().unwrap();
            std::thread::sleep(Duration::from_secs(100));
        }
    };
    let runner = case.live(PostgresConnector::no_tls(config));
    let answer = case.perform(runner.observer(observer));
    panic!("it was not stopped: {answer:?}");
}

/// A client that performs a case, and stops at one step of it.
pub(crate) struct Performing {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Performing {
    pub(crate) fn start(case: &Case, config: &Config, stop: &str) -> Self {
        let Host::Unix(directory) = &config.get_hosts()[0] else {
            panic!("the server is on the network")
        };
        let place = [
            directory.to_str().unwrap(),
            config.get_user().unwrap(),
            config.get_dbname().unwrap(),
        ];
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::performs", "--ignored", "--nocapture"])
            .env(PLAN, std::str::from_utf8(case.plan.bytes()).unwrap())
            .env(ROWS, case.draft.rows.join("\n"))
            .env(WHERE, place.join("\n"))
            .env(STOP, stop)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Performing { child, lines }
    }

    /// Returns when the client has come to its stop.
    pub(crate) fn until_there(&mut self) {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        assert!(
            lines.any(|line| line.contains("child: at=")),
            "it ended before"
        );
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Performing {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
