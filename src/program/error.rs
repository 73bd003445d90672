//! The errors of a program's own: those of its arguments, its files and the tools that it calls.

use std::path::PathBuf;

use crate::base::printable::Printable;
use crate::connecting::EndpointError;
use crate::outcome::BoxError;

/// Why a command of a program failed before the crate's other parts were reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// No variable of the environment names the database.
    #[error("no database is given for the {role}")]
    NoDatabase {
        /// The role that would connect, for example `runner`.
        role: &'static str,
        /// The variable that is read first.
        variable: String,
    },
    /// The connection that is configured cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The pipeline's input could not be made from the arguments.
    #[error("the input was not made")]
    InputNotMade(#[source] BoxError),
    /// The simulator or the adapter could not be made from the input.
    #[error("the {what} was not made")]
    PartNotMade {
        /// `simulator` or `adapter`.
        what: &'static str,
        /// Why not.
        #[source]
        error: BoxError,
    },
    /// The directory of a new change has files.
    #[error("{} is not empty", Printable(&.0.to_string_lossy()))]
    ChangeExists(PathBuf),
    /// The file `change.toml` of a change directory is malformed.
    #[error("{} is malformed", Printable(&path.to_string_lossy()))]
    ChangeMalformed {
        /// The path of the file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        error: BoxError,
    },
    /// The policy or the keys would be read from the change directory, whose author could have written them.
    #[error("{} is in the change directory", Printable(&.0.to_string_lossy()))]
    PolicyInChange(PathBuf),
    /// No person is at the terminal.
    #[error("a signature needs a person at a terminal")]
    NoTerminal,
    /// What was typed is not the beginning of the plan's digest.
    #[error("what was typed is not the beginning of the digest")]
    NotConfirmed,
    /// The signals of the process cannot be handled, so that a run could not be stopped in order.
    #[error("the signals of the process cannot be handled")]
    NoSignals(#[source] std::io::Error),
    /// No SSH key was given.
    #[error("no SSH key is given to sign with")]
    NoKey,
    /// A program that the command calls is missing, or ended with an error.
    #[error("`{tool}` failed: {}", Printable(.message))]
    ToolFailed {
        /// The name of the program.
        tool: &'static str,
        /// What it wrote, or why it could not be started.
        message: String,
    },
    /// The evidence in a directory does not verify.
    #[error("the evidence does not verify: {}", Printable(.message))]
    NotVerified {
        /// What is wrong.
        message: String,
    },
    /// The gate that is to be signed is not one of the plan's.
    #[error("the plan has no gate `{}`", Printable(.gate))]
    NoSuchGate {
        /// The gate that was given.
        gate: String,
        /// The gates of the plan.
        gates: Vec<String>,
    },
    /// No plan of the database, or more than one, has a digest that begins so.
    #[error("{plans} plans of the database have a digest that begins with `{}`", Printable(.given))]
    NoSuchPlan {
        /// What was given.
        given: String,
        /// The number of plans that it could be.
        plans: usize,
    },
}

impl ProgramError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ProgramError::NoDatabase { .. } => "no_database",
            ProgramError::Endpoint(error) => error.code(),
            ProgramError::InputNotMade(_) => "input_not_made",
            ProgramError::PartNotMade { .. } => "part_not_made",
            ProgramError::ChangeExists(_) => "change_exists",
            ProgramError::ChangeMalformed { .. } => "change_malformed",
            ProgramError::PolicyInChange(_) => "policy_in_change",
            ProgramError::NoTerminal => "no_terminal",
            ProgramError::NotConfirmed => "not_confirmed",
            ProgramError::NoSignals(_) => "no_signals",
            ProgramError::NoKey => "no_key",
            ProgramError::ToolFailed { .. } => "tool_failed",
            ProgramError::NotVerified { .. } => "not_verified",
            ProgramError::NoSuchGate { .. } => "no_such_gate",
            ProgramError::NoSuchPlan { .. } => "no_such_plan",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ProgramError::NoDatabase { variable, .. } => {
                format!("Set {variable}, or DATABASE_URL, for example to `host=/run/postgresql dbname=bank user=..`.")
            }
            ProgramError::Endpoint(error) => return error.hint(),
            ProgramError::ChangeExists(_) => {
                "Give a directory that is new, or empty: a plan that people may have approved is not replaced.".to_owned()
            }
            ProgramError::PolicyInChange(_) => {
                "Read both from the protected branch: --policy-from origin/main:policy.json \
                 --signers-from origin/main:allowed_signers."
                    .to_owned()
            }
            ProgramError::NoTerminal => "Run the command at a terminal, or write the statement with --statement-only \
                 and sign it with `ssh-keygen -Y sign -n phasegate -f KEY FILE`."
                .to_owned(),
            ProgramError::NotConfirmed => "Nothing was written. Run the command again, and read the plan that it shows.".to_owned(),
            ProgramError::NoKey => "Give the path of your key: --key ~/.ssh/id_ed25519.".to_owned(),
            ProgramError::NoSuchGate { gates, .. } if gates.is_empty() => "No phase of the plan is behind a gate.".to_owned(),
            ProgramError::NoSuchGate { gates, .. } => {
                format!("Give one of its gates: {}.", gates.join(", "))
            }
            ProgramError::NoSuchPlan { .. } => {
                "Give a change directory, the whole digest, or at least its first 8 digits.".to_owned()
            }
            ProgramError::NotVerified { .. } => {
                "Collect the evidence from the database again. If it has the same flaw, compare the database with a backup.".to_owned()
            }
            ProgramError::InputNotMade(_)
            | ProgramError::PartNotMade { .. }
            | ProgramError::ChangeMalformed { .. }
            | ProgramError::NoSignals(_)
            | ProgramError::ToolFailed { .. } => return None,
        })
    }
}
