//! Speaks to the server by hand, in the runner's role, and says what the engine never would.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use phasegate::Digest;
use postgres::{Client, Error, NoTls};

use crate::server::Database;

/// A plan of one phase behind no gate, admitted.
pub(crate) struct Task {
    pub(crate) plan: Vec<u8>,
    nonces: AtomicU64,
}

/// A session of the runner.
pub(crate) struct Hand {
    pub(crate) client: Client,
    pub(crate) pid: i32,
}

const PHASE: &str = "by hand";

fn input() -> Digest {
    Digest::of(b"input")
}

fn secret() -> Digest {
    Digest::of(b"secret")
}

/// Admits `count` plans, each of one phase that changes the pipeline's table.
pub(crate) fn tasks(database: &Database, count: usize) -> Vec<Task> {
    tasks_that_change(database, count, &["public.item"])
}

/// Admits `count` plans, each of one phase that changes these tables.
pub(crate) fn tasks_that_change(database: &Database, count: usize, tables: &[&str]) -> Vec<Task> {
    let rows = |table: &&str| {
        format!(r#""{table}": {{"inserted": 1, "updated": 1, "deleted": 1, "tolerance": 9999}}"#)
    };
    let effects = tables.iter().map(rows).collect::<Vec<_>>().join(", ");
    let plans: Vec<String> = (0..count)
        .map(|place| {
            format!(
                r#"{{"schema": "phasegate/plan/2", "pipeline": "{place}", "change": "{0}",
                     "target": {{"system_identifier": "{1}", "database": "{2}", "role": "{3}"}},
                     "phases": [{{"name": "{PHASE}", "gates": [], "input": "{0}",
                       "effects": {{{effects}}}}}]}}"#,
                input(),
                database.target.system_identifier(),
                database.target.database(),
                database.target.role(),
            )
        })
        .collect();
    let admit = "SELECT phasegate.admit_plan(convert_to(p, 'UTF8')) FROM unnest($1::text[]) AS p";
    let rows = database.admin().query(admit, &[&plans]).expect(admit);
    let task = |row: &postgres::Row| Task {
        plan: row.get(0),
        nonces: AtomicU64::new(0),
    };
    rows.iter().map(task).collect()
}

/// Admits one.
pub(crate) fn task(database: &Database) -> Task {
    tasks(database, 1).remove(0)
}

impl Hand {
    pub(crate) fn of(database: &Database) -> Self {
        let mut client = database.runner.config().connect(NoTls).expect("the runner");
        let pid = client.query_one("SELECT pg_backend_pid()", &[]);
        let pid = pid.expect("a process").get(0);
        Hand { client, pid }
    }

    /// The opening message, at this level of isolation.
    pub(crate) fn open_at(&mut self, isolation: &str, task: &Task) -> Result<(), Error> {
        let attempt = task.nonces.fetch_add(1, Ordering::SeqCst);
        let plan = hex(&task.plan);
        let nonce = Digest::of(format!("{plan} {attempt}").as_bytes()).to_string();
        let request = serde_json::json!({
            "protocol": 1, "plan": plan, "place": 1, "phase": PHASE, "input": input(),
            "nonce": nonce[..32], "lock": Digest::of(secret().as_bytes()), "approvals": [],
            "application_name": PHASE, "refuse_privileged_role": false, "lock_timeout": 10_000,
            "statement_timeout": 60_000, "idle_timeout": 60_000, "phase_timeout": 60_000,
        });
        let request = hex(request.to_string().as_bytes());
        let open = format!(
            "BEGIN ISOLATION LEVEL {isolation}; \
             SELECT phasegate.open(pg_catalog.decode('{request}', 'hex'))"
        );
        // What the session has written in another transaction does not count for this one.
        let flush = "SELECT pg_catalog.pg_stat_force_next_flush()";
        self.client.simple_query(flush)?;
        let opened = self.client.simple_query(&open);
        if opened.is_err() {
            // A refused opening; a session that is gone has nothing to roll back.
            let _ = self.client.simple_query("ROLLBACK");
        }
        opened.map(drop)
    }

    /// Opens a phase, and writes `item` in it.
    pub(crate) fn begin(&mut self, task: &Task, item: &str) {
        self.open_at("READ COMMITTED", task).expect("an open phase");
        self.write(item).expect("a write");
    }

    pub(crate) fn write(&mut self, item: &str) -> Result<(), Error> {
        let insert = format!("INSERT INTO item VALUES ('{item}', 'by hand')");
        self.client.batch_execute(&insert)
    }

    /// The closing message, with `end` in the place of its `COMMIT`.
    pub(crate) fn close_with(&mut self, end: &str) -> Result<(), Error> {
        let close = format!(
            "SELECT phasegate.seal(pg_catalog.decode('{}', 'hex')); \
             SET CONSTRAINTS ALL IMMEDIATE; \
             SELECT phasegate.finish(pg_catalog.decode('6e756c6c', 'hex'))",
            secret()
        );
        // A message that finishes a phase has nothing in it but what ends a transaction.
        if end.chars().all(|c| c.is_ascii_uppercase() || c == ' ') {
            return self
                .client
                .simple_query(&format!("{close}; {end}"))
                .map(drop);
        }
        self.client.simple_query(&close)?;
        self.client.simple_query(end).map(drop)
    }

    /// Closes as far as the check of the switch, which passes, and stops short of the end of the
    /// commit.
    pub(crate) fn get_past_the_check(&mut self) {
        let passed = self.close_with("SET CONSTRAINTS ALL IMMEDIATE");
        passed.expect("the check of the switch passes");
    }

    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.client.simple_query("COMMIT").map(drop)
    }
}

/// The SQLSTATE, or nothing for a connection that is gone.
pub(crate) fn code(error: &Error) -> &str {
    error.code().map_or("", postgres::error::SqlState::code)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
