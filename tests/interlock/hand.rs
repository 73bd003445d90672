//! The runner's own hand: a session of its role that may send any SQL, and the messages of a phase.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use phasegate::{Digest, Error, Failure, Plan, connect::SqlError, error::Rollback};
use postgres::error::SqlState;
use postgres::{Client, NoTls};
use serde_json::{Value, json};

use crate::pipeline::Draft;
use crate::server::{Database, drafting_plan};

/// How a session sends its statements.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// Each in a message of its own, whatever became of the one before.
    OneByOne,
    /// All in one message, of which the server drops the rest at the first error.
    OneMessage,
}

pub(crate) const WAYS: [Way; 2] = [Way::OneByOne, Way::OneMessage];

pub(crate) const INSERT: &str = "INSERT INTO item VALUES ('smuggled', 'draft')";
pub(crate) const DRAIN: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// A session of the runner's role.
pub(crate) fn psql(database: &Database) -> Client {
    let client = database.runner.config().connect(NoTls);
    client.expect("the runner")
}

/// The SQLSTATE of an error of the server, or a panic.
#[track_caller]
pub(crate) fn code(error: &postgres::Error) -> String {
    let said = error.as_db_error();
    let said = said.unwrap_or_else(|| panic!("not the server's word: {error}"));
    said.code().code().to_owned()
}

/// An opening is one message: the server sees by it that no transaction was open before.
fn send(client: &mut Client, statement: &str) -> Result<(), postgres::Error> {
    if statement.starts_with("BEGIN") && statement.contains("; ") {
        client.simple_query(statement).map(drop)
    } else {
        client.execute(statement, &[]).map(drop)
    }
}

/// What the server said to one statement: nothing, or the SQLSTATE of its refusal.
#[track_caller]
pub(crate) fn tell(client: &mut Client, statement: &str) -> Option<String> {
    send(client, statement).err().map(|error| code(&error))
}

/// Sends the statements, and answers the refusals.
#[track_caller]
pub(crate) fn say(client: &mut Client, way: Way, statements: &[impl AsRef<str>]) -> Vec<String> {
    match way {
        Way::OneByOne => {
            let refusals = statements
                .iter()
                .filter_map(|one| tell(client, one.as_ref()));
            refusals.collect()
        }
        Way::OneMessage => {
            let all: Vec<_> = statements.iter().map(AsRef::as_ref).collect();
            let answer = client.simple_query(&all.join("; "));
            answer.err().map(|error| code(&error)).into_iter().collect()
        }
    }
}

/// Asserts that the server refuses the statement so.
#[track_caller]
pub(crate) fn refuses(client: &mut Client, statement: &str, sqlstate: &str) {
    let said = tell(client, statement);
    assert_eq!(said.as_deref(), Some(sqlstate), "{statement}");
}

/// Asserts that the server performs the statement.
#[track_caller]
pub(crate) fn does(client: &mut Client, statement: &str) {
    if let Err(error) = send(client, statement) {
        panic!("{statement}: {:?}", error.as_db_error());
    }
}

/// One attempt at a phase of a plan, written by hand.
pub(crate) struct Attempt {
    pub(crate) plan: Plan,
    /// Counted from 1.
    pub(crate) place: usize,
    pub(crate) nonce: String,
    secret: Digest,
}

impl Attempt {
    /// At the one phase `draft` of a plan, which is admitted and approved.
    pub(crate) fn admitted(database: &Database) -> Self {
        let plan = drafting_plan(&database.target, &Draft::of(&["a"]));
        database.admit(&plan);
        Attempt::of(&plan, 1)
    }

    pub(crate) fn of(plan: &Plan, place: usize) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let nonce = format!("{:032x}", COUNT.fetch_add(1, Ordering::Relaxed));
        Attempt {
            plan: plan.clone(),
            place,
            secret: Digest::of(nonce.as_bytes()),
            nonce,
        }
    }

    /// Another attempt at the same phase.
    pub(crate) fn again(&self) -> Self {
        Attempt::of(&self.plan, self.place)
    }

    /// What the opening message asks for.
    pub(crate) fn request(&self) -> Value {
        let phase = &self.plan.phases()[self.place - 1];
        let approval =
            |gate: &String| format!("{gate} for {} of {}", phase.name(), self.plan.digest());
        json!({
            "protocol": 1,
            "plan": self.plan.digest(),
            "place": self.place,
            "phase": phase.name(),
            "input": phase.input(),
            "nonce": self.nonce,
            "lock": Digest::of(self.secret.as_bytes()),
            "approvals": phase.gates().iter().map(approval).collect::<Vec<_>>(),
            "application_name": "by hand",
            "refuse_privileged_role": false,
            "lock_timeout": 10_000,
            "statement_timeout": 60_000,
            "idle_timeout": 60_000,
            "phase_timeout": 60_000,
        })
    }

    /// The request, with some of it changed; what is null is left out.
    pub(crate) fn request_but(&self, changed: &Value) -> Value {
        let mut request = self.request();
        let fields = request.as_object_mut().unwrap();
        for (name, value) in changed.as_object().unwrap() {
            fields.insert(name.clone(), value.clone());
        }
        fields.retain(|_, value| !value.is_null());
        request
    }

    pub(crate) fn open(&self) -> String {
        open(&self.request())
    }

    /// The opening message.
    pub(crate) fn begin(&self) -> String {
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; {}",
            self.open()
        )
    }

    pub(crate) fn seal(&self) -> String {
        format!(
            "SELECT phasegate.seal(pg_catalog.decode('{}', 'hex'))",
            self.secret
        )
    }

    /// The closing message.
    pub(crate) fn close(&self) -> Vec<String> {
        vec![
            self.seal(),
            DRAIN.to_owned(),
            finish("1"),
            "COMMIT".to_owned(),
        ]
    }
}

pub(crate) fn open(request: &Value) -> String {
    format!(
        "SELECT phasegate.open(pg_catalog.decode('{}', 'hex'))",
        hex(&request.to_string())
    )
}

pub(crate) fn finish(output: &str) -> String {
    format!(
        "SELECT phasegate.finish(pg_catalog.decode('{}', 'hex'))",
        hex(output)
    )
}

fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Asserts that nothing was committed by the runner: no row, no journal, no spent approval.
#[track_caller]
pub(crate) fn nothing_committed(database: &Database) {
    database.is_left_clean();
    assert_eq!(database.items(), []);
    let left: i64 = database.ask(
        "SELECT (SELECT count(*) FROM phasegate.journal) + (SELECT count(*) FROM phasegate.attempt) \
              + (SELECT count(*) FROM phasegate.approval_spent)",
    );
    assert_eq!(left, 0, "rows of the schema were committed");
}

/// Asserts that nothing is committed of a phase in which this was said, and that the first refusal is
/// `by_hand`, when a session says it that does not have the secret, each way; or `in_tx`, when an
/// adapter does, through what it is lent.
#[track_caller]
pub(crate) fn held(database: &Database, said: &[&str], by_hand: &str, in_tx: &str) {
    held_by_hand(database, said, by_hand);
    let refused = by_an_adapter(database, said);
    assert_eq!(
        refused.first().map(String::as_str),
        Some(in_tx),
        "{said:?} in an adapter"
    );
}

#[track_caller]
pub(crate) fn held_by_hand(database: &Database, said: &[&str], sqlstate: &str) {
    for way in WAYS {
        let attempt = Attempt::admitted(database);
        let mut statements = vec![attempt.begin(), INSERT.to_owned()];
        statements.extend(said.iter().map(|&one| one.to_owned()));
        let mut session = psql(database);
        let refused = say(&mut session, way, &statements);
        assert_eq!(
            refused.first().map(String::as_str),
            Some(sqlstate),
            "{said:?} {way:?}"
        );
        drop(session);
        nothing_committed(database);
    }
}

/// What was said to each statement of an adapter that drops the errors: an SQLSTATE, or `not sent`.
#[track_caller]
fn by_an_adapter(database: &Database, said: &[&str]) -> Vec<String> {
    let mut refusals = Vec::new();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(INSERT, &[])?;
        for one in said {
            match tx.execute(*one, &[]) {
                Ok(_) => {}
                Err(SqlError::Database(error)) => refusals.push(code(&error)),
                Err(SqlError::TransactionControl { .. }) => {
                    refusals.push("not sent".to_owned());
                }
                Err(error) => refusals.push(error.to_string()),
            }
        }
        // What was not sent does no harm, and the phase could be committed as it is.
        if refusals.iter().all(|refusal| refusal == "not sent") {
            Err(Failure::new("the adapter gives up"))
        } else {
            Ok(1)
        }
    });
    assert!(
        matches!(answer, Err(Error::RolledBack(_))),
        "{said:?}: {answer:?}"
    );
    nothing_committed(database);
    refusals
}

/// Asserts that the phase was rolled back because of this, and that nothing of it is left.
#[track_caller]
pub(crate) fn rolled_back_by(
    database: &Database,
    answer: Result<u64, Error>,
    sqlstate: &str,
) -> Rollback {
    let rollback = crate::server::rollback(answer);
    let said = rollback.failure().and_then(Failure::sqlstate);
    assert_eq!(said.map(SqlState::code), Some(sqlstate), "{rollback}");
    nothing_committed(database);
    rollback
}
