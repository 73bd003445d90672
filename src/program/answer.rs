//! What a command returns: an answer or a failure, as text for people or in the one JSON envelope.

use std::fmt::Display;
use std::io::Write as _;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::error::ProgramError;
use super::exit;
use super::io::Io;
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::base::timestamp::Timestamp;
use crate::outcome::{Error, RefusalReason, message_of, server_hint, sqlstate_of};
use crate::plan::Plan;

/// What a command is about, as far as it is known when it ends.
#[derive(Default)]
pub(super) struct About {
    plan: Value,
    pipeline: Value,
    target: Value,
}

impl About {
    pub(super) fn digest(plan: Digest) -> Self {
        About {
            plan: json!(plan),
            ..About::default()
        }
    }

    pub(super) fn plan(plan: &Plan) -> Self {
        About {
            plan: json!(plan.digest()),
            pipeline: json!(plan.pipeline()),
            target: json!(plan.target()),
        }
    }
}

/// The answer of a command that did what it was asked for.
pub(super) struct Answer {
    /// The exit code: `OK`, `NOT_READY` or `DIFFERS`.
    pub(super) exit: u8,
    pub(super) about: About,
    /// The answer for programs.
    pub(super) result: Value,
    /// The answer for people.
    pub(super) text: String,
    pub(super) warnings: Vec<String>,
}

impl Answer {
    pub(super) fn new(about: About, result: impl Serialize, text: impl Into<String>) -> Self {
        Answer {
            exit: exit::OK,
            about,
            result: json!(result),
            text: text.into(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }
}

/// Why a command did not do what it was asked for.
pub(super) struct Failed(Box<Details>);

struct Details {
    exit: u8,
    about: About,
    code: &'static str,
    message: String,
    hint: Option<String>,
    phase: Option<String>,
    row: Value,
    sqlstate: Option<String>,
    gate: Option<String>,
    /// The command that goes on.
    command: Option<String>,
}

impl Failed {
    pub(super) fn new(
        exit: u8,
        code: &'static str,
        error: &dyn Display,
        hint: Option<String>,
    ) -> Self {
        Failed(Box::new(Details {
            exit,
            about: About::default(),
            code,
            message: error.to_string(),
            hint,
            phase: None,
            row: Value::Null,
            sqlstate: None,
            gate: None,
            command: None,
        }))
    }

    pub(super) fn about(mut self, about: About) -> Self {
        self.0.about = about;
        self
    }

    /// Gives the command that goes on, unless it is known already.
    pub(super) fn or_command(mut self, command: impl FnOnce(&Failed) -> String) -> Self {
        if self.0.command.is_none() {
            self.0.command = Some(command(&self));
        }
        self
    }

    pub(super) fn exit(&self) -> u8 {
        self.0.exit
    }

    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    pub(super) fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub(super) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The gate that was not passed.
    pub(super) fn gate(&self) -> Option<&str> {
        self.0.gate.as_deref()
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let mut failed = Failed::new(
            exit::of(&error),
            error.code(),
            &message_of(&error),
            error.hint(),
        );
        let sqlstate = match &error {
            Error::RolledBack(rollback) => rollback.failure().and_then(crate::Failure::sqlstate),
            other => sqlstate_of(other),
        };
        let details = &mut failed.0;
        details.phase = error.phase().map(str::to_owned);
        details.row = error.row().map_or(
            Value::Null,
            |row| json!({ "ordinal": row.ordinal(), "key": row.key() }),
        );
        details.sqlstate = sqlstate.map(|state| state.code().to_owned());
        if let Some(RefusalReason::Approval { gate, .. }) = error.reason() {
            details.gate = Some(gate.clone());
        }
        failed
    }
}

impl From<ProgramError> for Failed {
    fn from(error: ProgramError) -> Self {
        let exit = match error {
            ProgramError::NotVerified { .. } => exit::EVIDENCE,
            ProgramError::ToolFailed { .. } | ProgramError::NoSignals(_) => exit::UNEXPECTED,
            _ => exit::REFUSED,
        };
        Failed::new(exit, error.code(), &message_of(&error), error.hint())
    }
}

impl From<::postgres::Error> for Failed {
    fn from(error: ::postgres::Error) -> Self {
        let sqlstate = sqlstate_of(&error).map(|state| state.code().to_owned());
        let denied = sqlstate.as_deref() == Some("42501");
        let hint = server_hint(&error).or_else(|| {
            let grant = "Connect as a role that has the privilege: `--help` names it.";
            denied.then(|| grant.to_owned())
        });
        let (exit, code) = if error.as_db_error().is_some() {
            (exit::REFUSED, "query_refused")
        } else {
            (exit::NO_SERVER, "connect_failed")
        };
        let mut failed = Failed::new(exit, code, &message_of(&error), hint);
        failed.0.sqlstate = sqlstate;
        failed
    }
}

/// Errors of the crate, each with its code and its hint, and with the exit code that they have in a command.
macro_rules! failures {
    ($($error:ty => $exit:expr),+ $(,)?) => {$(
        impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                Failed::new($exit, error.code(), &message_of(&error), error.hint())
            }
        }
    )+};
}

failures! {
    crate::plan::PlanError => exit::REFUSED,
    crate::plan::InputsError => exit::REFUSED,
    crate::base::files::ReadFileError => exit::REFUSED,
    crate::base::canonical::NotCanonical => exit::REFUSED,
    crate::database::ConnectError => exit::NO_SERVER,
    crate::database::OperatorError => exit::REFUSED,
    crate::database::InstallError => exit::REFUSED,
    crate::evidence::EvidenceError => exit::REFUSED,
    crate::evidence::EvidenceFlaw => exit::EVIDENCE,
    crate::evidence::BundleNotWritten => exit::REFUSED,
    crate::authority::ParseApprovalError => exit::REFUSED,
    crate::authority::PolicyError => exit::REFUSED,
    crate::authority::AllowedSignersError => exit::REFUSED,
    crate::authority::RevokedKeysError => exit::REFUSED,
    crate::authority::Denied => exit::NOT_APPROVED,
    crate::gates::GatesFileError => exit::DIFFERS,
}

/// Writes the outcome of a command, and returns its exit code. With `json`, one object goes to standard output,
/// whatever the outcome.
pub(super) fn write(command: &str, outcome: Result<Answer, Failed>, json: bool, io: &dyn Io) -> u8 {
    let exit = match &outcome {
        Ok(answer) => answer.exit,
        Err(failed) => failed.exit(),
    };
    let written = if json {
        writeln!(io.out(), "{}", envelope(command, outcome))
    } else {
        as_text(outcome, io)
    };
    // The reader has closed the stream: what was done is done.
    if written.is_err() && exit == exit::OK {
        return exit::UNEXPECTED;
    }
    exit
}

/// Returns an event of a run, in the envelope of the others. Whether the run is `ok`, its last line tells.
pub(super) fn event(schema: &str, answer: Answer) -> Value {
    let mut object = envelope("run", Ok(answer));
    object["schema"] = json!(schema);
    object["ok"] = Value::Null;
    object["exit"] = Value::Null;
    object
}

/// Writes one object of a stream: the envelope of an answer that is not the last.
pub(super) fn stream(command: &str, answer: Answer, io: &dyn Io) -> std::io::Result<()> {
    writeln!(io.out(), "{}", envelope(command, Ok(answer)))
}

fn envelope(command: &str, outcome: Result<Answer, Failed>) -> Value {
    let at = Timestamp::of(SystemTime::now()).to_string();
    let schema = format!("phasegate/cli/{command}/1");
    match outcome {
        Ok(answer) => json!({
            "schema": schema,
            "ok": answer.exit == exit::OK,
            "exit": answer.exit,
            "code": match answer.exit {
                exit::NOT_READY => Some("not_ready"),
                exit::DIFFERS => Some("differs"),
                _ => None,
            },
            "plan": answer.about.plan,
            "pipeline": answer.about.pipeline,
            "target": answer.about.target,
            "at": at,
            "result": answer.result,
            "error": null,
            "warnings": answer.warnings,
        }),
        Err(Failed(failed)) => json!({
            "schema": schema,
            "ok": false,
            "exit": failed.exit,
            "code": failed.code,
            "plan": failed.about.plan,
            "pipeline": failed.about.pipeline,
            "target": failed.about.target,
            "at": at,
            "result": null,
            "error": {
                "code": failed.code,
                "phase": failed.phase,
                "row": failed.row,
                "sqlstate": failed.sqlstate,
                "message": failed.message,
                "hint": failed.hint,
                "command": failed.command,
            },
            "warnings": [],
        }),
    }
}

fn as_text(outcome: Result<Answer, Failed>, io: &dyn Io) -> std::io::Result<()> {
    match outcome {
        Ok(answer) => {
            for warning in &answer.warnings {
                writeln!(io.err(), "warning: {}", Printable(warning))?;
            }
            let text = answer.text.trim_end();
            if text.is_empty() {
                Ok(())
            } else {
                writeln!(io.out(), "{text}")
            }
        }
        Err(Failed(failed)) => {
            let mut err = io.err();
            writeln!(err, "error: {} [{}]", failed.message, failed.code)?;
            if let Some(hint) = &failed.hint {
                writeln!(err, "hint: {hint}")?;
            }
            if let Some(command) = &failed.command {
                writeln!(err, "next: {command}")?;
            }
            Ok(())
        }
    }
}
