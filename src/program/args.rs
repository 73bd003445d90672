//! The one definition of the command line, of the program `phasegate` and of those of users.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::exit;
use super::pipeline::Pipeline;
use crate::database::Guard;

/// What every command takes.
#[derive(Args)]
pub(super) struct Global {
    /// Write one JSON object to standard output, whatever the outcome
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Write no progress
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Md,
    Json,
    Svg,
}

/// The commands that need no pipeline.
#[derive(Subcommand)]
pub(super) enum Standard {
    /// Install the schema `phasegate` in a database, and guard tables (as the owner)
    Init {
        /// The tables to guard, for example `bank.account`
        tables: Vec<String>,
        /// What the guard reads of a phase's changes: row numbers, or columns and values too; by default as it is
        #[arg(long, value_enum, value_name = "KIND")]
        guard: Option<GuardKind>,
        /// Write the SQL of the schema, and change nothing
        #[arg(long)]
        print_sql: bool,
    },
    /// Test each configured connection: database, schema, role, clock
    Doctor,
    /// Show a plan as people read it
    Show {
        dir: PathBuf,
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Compare two plans phase by phase; exit code 4 if they differ
    Diff { before: PathBuf, after: PathBuf },
    /// Approve a gate of a plan: shows the plan, asks for its digest, signs by `ssh-keygen`
    Approve(Sign),
    /// Reject a plan: one rejection stops it, and cannot be undone
    Reject(Sign),
    /// Admit a plan and its signed approvals to the database (as an operator)
    Admit(Admit),
    /// List what is missing before the plan can run (as the runner); exit code 3 if something is
    Check { dir: PathBuf },
    /// Read or turn the kill switch of the database; ON means that execution is allowed (as an operator)
    Switch {
        #[command(subcommand)]
        turn: Turn,
    },
    /// List the plans that the database has, and how far each was performed (as an auditor)
    Runs {
        /// Only those that are not complete
        #[arg(long)]
        open: bool,
    },
    /// Show a run as it goes on, and what ends its present state (as an auditor)
    Watch(Watch),
    /// Write the state of the database as metrics, for the textfile collector of Prometheus (as an auditor)
    Metrics,
    /// Collect the evidence of a run into a new directory (as an auditor)
    Evidence {
        /// The change directory, or the plan's digest, of which 8 digits are enough
        plan: String,
        /// The directory to write; default: `evidence` in the change directory
        #[arg(long, short)]
        out: Option<PathBuf>,
    },
    /// Verify the evidence of a run offline, by `sha256sum` and `ssh-keygen`; exit code 40 if it does not verify
    Verify {
        dir: PathBuf,
        /// The keys of the people, from another source than the evidence
        #[arg(long)]
        signers: PathBuf,
        /// The digest of the plan that was approved
        #[arg(long, short)]
        plan: Option<String>,
        /// The hash of the journal's last row
        #[arg(long, short = 'e')]
        head: Option<String>,
    },
    /// Write the completions of a shell
    Completions { shell: clap_complete::Shell },
    /// Write the manual page
    Man,
}

#[derive(Args)]
pub(super) struct Watch {
    /// The change directory, or the plan's digest, of which 8 digits are enough; default: the run in progress
    pub(super) plan: Option<String>,
    /// Show the state once, and end
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Args)]
pub(super) struct Sign {
    pub(super) dir: PathBuf,
    /// The gate to sign for, for example `SG_1`
    #[arg(long)]
    pub(super) gate: String,
    /// Your name in `allowed_signers`
    #[arg(long = "as", value_name = "NAME")]
    pub(super) name: String,
    /// Your SSH key; its public half, where the key is in the agent or on a token
    #[arg(long, env = "PHASEGATE_KEY")]
    pub(super) key: Option<PathBuf>,
    /// How long the approval can be admitted and spent
    #[arg(long = "for", default_value = "8h", value_name = "DURATION")]
    pub(super) lasting: humantime::Duration,
    #[arg(long)]
    pub(super) comment: String,
    /// Write the statement, and leave the signature to you
    #[arg(long)]
    pub(super) statement_only: bool,
}

#[derive(Args)]
pub(super) struct Admit {
    pub(super) dir: PathBuf,
    /// The policy: who may approve which gate
    #[arg(long, required_unless_present = "policy_from")]
    pub(super) policy: Option<PathBuf>,
    /// The keys of the people
    #[arg(long, required_unless_present = "signers_from")]
    pub(super) signers: Option<PathBuf>,
    /// The policy out of a commit, for example `origin/main:ops/policy.json`
    #[arg(long, value_name = "REV:PATH", conflicts_with = "policy")]
    pub(super) policy_from: Option<String>,
    /// The keys out of a commit
    #[arg(long, value_name = "REV:PATH", conflicts_with = "signers")]
    pub(super) signers_from: Option<String>,
    /// The keys that no longer count
    #[arg(long)]
    pub(super) revoked: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(super) enum Turn {
    /// Turn it ON: allow execution, for a time
    On {
        #[arg(long)]
        why: String,
        #[arg(long = "for", default_value = "30m", value_name = "DURATION")]
        lasting: humantime::Duration,
    },
    /// Turn it OFF, and end the open phases
    Off {
        #[arg(default_value = "stopped by hand")]
        why: String,
    },
    /// Let the present lease last longer
    Extend {
        #[arg(long)]
        why: String,
        #[arg(long = "for", default_value = "30m", value_name = "DURATION")]
        lasting: humantime::Duration,
    },
    /// Tell whether it is ON, until when, and which phases are open
    Status,
    /// List its turns, the last first
    History,
}

/// The kinds of guards.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum GuardKind {
    /// The numbers of rows, by the server's counters
    Counters,
    /// The numbers of rows, by triggers after each statement: exact with `EXCEPTION` blocks too
    Statements,
    /// As `statements`, and the columns and the values of the rows
    Contents,
}

impl From<GuardKind> for Guard {
    fn from(kind: GuardKind) -> Self {
        match kind {
            GuardKind::Counters => Guard::Counters,
            GuardKind::Statements => Guard::Statements,
            GuardKind::Contents => Guard::Contents,
        }
    }
}

/// The options of `plan`, beside the arguments of the input.
#[derive(Args)]
pub(super) struct Planning {
    /// The change directory to write; it must not have a plan
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Who makes the plan: a name in `allowed_signers`
    #[arg(long)]
    pub(super) author: String,
    /// Who last changed the input
    #[arg(long)]
    pub(super) last_editor: Option<String>,
    /// How long the plan can be performed
    #[arg(long, default_value = "7d", value_name = "DURATION")]
    pub(super) valid_for: humantime::Duration,
    /// What the change is for
    #[arg(long)]
    pub(super) label: Option<String>,
    /// Make the plan by a rehearsal, with the effects that it measures
    #[arg(long)]
    pub(super) by_rehearsal: bool,
    /// The role that will perform the plan; the connection is then that of the reader
    #[arg(long, value_name = "ROLE", conflicts_with = "by_rehearsal")]
    pub(super) performed_by: Option<String>,
    /// Let git have `input.json`, which may hold personal data
    #[arg(long)]
    pub(super) commit_input: bool,
}

#[derive(Args)]
pub(super) struct Directory {
    /// The change directory
    pub(super) dir: PathBuf,
}

#[derive(Args)]
pub(super) struct Gates {
    /// The change directory whose input the phases are made of
    pub(super) dir: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    /// Compare the table with this file (`.md`, `.json`, `.svg`); exit code 4 if it differs
    #[arg(long, value_name = "FILE")]
    pub(super) check: Option<PathBuf>,
}

/// Returns the definition of the command line: with the commands of a pipeline, where there is one.
pub(super) fn command(name: &str, pipeline: Option<&dyn Pipeline>) -> clap::Command {
    let about = "Performs a dangerous data change as planned, approved and switched on";
    let command = clap::Command::new(name.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(exit_codes());
    let mut command = Global::augment_args(command);
    if let Some(pipeline) = pipeline {
        // The documentation of the user's arguments replaces what the command is about, so that is set after it.
        let plan = pipeline.arguments(Planning::augment_args(clap::Command::new("plan")));
        let plan_about = if pipeline.is_simulated() {
            "Make a plan by a dry run, and write the change directory"
        } else {
            "Make a plan by a rehearsal, and write the change directory"
        };
        let of_a_change = |name: &'static str, about: &'static str| {
            Directory::augment_args(clap::Command::new(name)).about(about)
        };
        command = command
            .subcommand(plan.about(plan_about).long_about(None))
            .subcommand(of_a_change("replan", "Make the plan again, and compare; exit code 4 if it differs"))
            .subcommand(of_a_change(
                "rehearse",
                "Perform the plan and roll it back, and compare the effects (as the runner); exit code 4 if they differ",
            ))
            .subcommand(of_a_change(
                "run",
                "Perform the plan live (as the runner); again, go on where it stopped",
            ))
            .subcommand(
                Gates::augment_args(clap::Command::new("gates"))
                    .about("Show the gate table of the pipeline"),
            );
    }
    Standard::augment_subcommands(command)
        .about(about)
        .long_about(None)
}

fn exit_codes() -> String {
    let lines = exit::ALL
        .iter()
        .filter(|(_, _, about)| *about != "reserved");
    let lines: Vec<String> = lines
        .map(|(code, _, about)| format!("  {code:>2}  {about}\n"))
        .collect();
    format!("Exit codes:\n{}", lines.concat())
}
