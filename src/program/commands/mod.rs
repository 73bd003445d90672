//! The commands: each returns an answer, or a failure with the command that goes on.

mod admitting;
mod auditing;
mod checking;
mod installing;
mod making;
mod measuring;
mod observing;
mod running;
mod showing;
mod signing;
mod switching;
mod watching;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{ArgMatches, FromArgMatches as _};

use super::answer::{self, Answer, Failed};
use super::args::{self, Directory, Gates, Global, Planning, Standard};
use super::error::ProgramError;
use super::exit;
use super::io::{Io, ProcessIo};
use super::pipeline::Pipeline;
use crate::base::timestamp::Timestamp;
use crate::database::Guard;
use crate::engine::StopHandle;

pub(super) use showing::markdown;

/// What a command works with.
pub(super) struct Context<'a> {
    /// The name of the program, in hints.
    pub(super) name: &'a str,
    pub(super) io: &'a dyn Io,
    pub(super) quiet: bool,
    pub(super) json: bool,
}

impl Context<'_> {
    /// Returns the handle by which the phases that this command performs are stopped.
    fn stop_handle(&self) -> Result<StopHandle, ProgramError> {
        self.io.stop_handle().map_err(ProgramError::NoSignals)
    }

    /// Returns whether standard output is a terminal that can be redrawn: not a file, not one of a CI, and not where
    /// `NO_COLOR` asks for plain text.
    pub(super) fn is_drawn(&self) -> bool {
        let environment = self.io.environment();
        let is_plain = ["CI", "NO_COLOR"]
            .iter()
            .any(|name| environment.get(name).is_some());
        let is_dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        self.io.is_shown() && !self.json && !is_plain && !is_dumb
    }

    /// Writes a line to standard error, for people.
    pub(super) fn say(&self, line: &str) {
        if !self.quiet {
            // A closed stream does not stop a command.
            let _ = writeln!(self.io.err(), "{line}");
        }
    }

    /// Returns the command that goes on after a failure.
    fn next(&self, failed: &Failed, dir: Option<&Path>) -> String {
        let name = self.name;
        let shown = dir.map(|dir| dir.display().to_string());
        let dir = shown.as_deref().unwrap_or("DIR");
        match (failed.exit(), failed.code()) {
            (_, "file_not_read") if shown.is_none() => format!("{name} --help"),
            (exit::SWITCHED_OFF, _) => format!("{name} switch on --why REASON --for 30m"),
            (_, "not_admitted") => format!("{name} admit {dir} --policy FILE --signers FILE"),
            (_, "not_installed") => format!("{name} init"),
            (_, "rejected" | "approval_rejected" | "plan_expired" | "change_exists") => {
                format!("{name} plan --out NEW_DIR --author NAME ..")
            }
            (exit::NOT_APPROVED, _) => {
                let gate = failed.gate().unwrap_or("GATE");
                format!("{name} approve {dir} --gate {gate} --as NAME --comment TEXT")
            }
            (exit::ROLLED_BACK | exit::INCOMPLETE | exit::STOPPED | exit::IN_DOUBT, _) => {
                format!("{name} run {dir}")
            }
            (exit::NO_SERVER, _) | (_, "no_database" | "not_a_database") => {
                format!("{name} doctor")
            }
            (exit::REFUSED, _) if shown.is_some() => format!("{name} check {dir}"),
            _ => format!("{name} --help"),
        }
    }
}

/// Runs the command of the process.
pub(super) fn main(name: &str, pipeline: Option<&dyn Pipeline>) -> ExitCode {
    let io = ProcessIo::default();
    ExitCode::from(run(name, pipeline, std::env::args_os().collect(), &io))
}

/// Runs a command that another parser has read, with the streams of the process.
pub(super) fn matches(
    name: &str,
    pipeline: Option<&dyn Pipeline>,
    matches: &ArgMatches,
) -> ExitCode {
    let io = ProcessIo::default();
    ExitCode::from(dispatch(name, pipeline, matches, &io))
}

/// Runs the command that `args` name.
pub(super) fn run(
    name: &str,
    pipeline: Option<&dyn Pipeline>,
    args: Vec<OsString>,
    io: &dyn Io,
) -> u8 {
    let json = args.iter().any(|argument| argument == "--json");
    match args::command(name, pipeline).try_get_matches_from(args) {
        Ok(matches) => dispatch(name, pipeline, &matches, io),
        // What reads the object gets one, even if no command was recognised.
        Err(error) if json && error.use_stderr() => {
            let failed = usage(&error).or_command(|_| format!("{name} --help"));
            answer::write("usage", Err(failed), true, io)
        }
        Err(error) => {
            let text = error.render();
            let written = if error.use_stderr() {
                write!(io.err(), "{text}")
            } else {
                write!(io.out(), "{text}")
            };
            match (error.use_stderr(), written) {
                (false, Ok(())) => exit::OK,
                (false, Err(_)) => exit::UNEXPECTED,
                (true, _) => exit::USAGE,
            }
        }
    }
}

fn dispatch(name: &str, pipeline: Option<&dyn Pipeline>, matches: &ArgMatches, io: &dyn Io) -> u8 {
    let global = Global::from_arg_matches(matches);
    let (json, quiet) = global.map_or((false, false), |global| (global.json, global.quiet));
    let context = Context {
        name,
        io,
        quiet,
        json,
    };
    let (command, of_it) = matches.subcommand().unwrap_or(("", matches));
    let outcome = match (pipeline, command) {
        (Some(pipeline), "plan" | "replan" | "rehearse" | "run" | "gates") => {
            of_pipeline(&context, pipeline, command, of_it)
        }
        _ => match Standard::from_arg_matches(matches) {
            Ok(standard) => of_standard(&context, pipeline, standard),
            Err(error) => Err(usage(&error)),
        },
    };
    answer::write(command, outcome, json, io)
}

fn usage(error: &clap::Error) -> Failed {
    Failed::new(exit::USAGE, "usage", error, None)
}

/// Adds the command that goes on to a failure of a command about a change.
fn about_change(
    context: &Context<'_>,
    dir: &Path,
    outcome: Result<Answer, Failed>,
) -> Result<Answer, Failed> {
    outcome.map_err(|failed| failed.or_command(|failed| context.next(failed, Some(dir))))
}

fn of_pipeline(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    command: &str,
    matches: &ArgMatches,
) -> Result<Answer, Failed> {
    match command {
        "plan" => {
            let planning = Planning::from_arg_matches(matches).map_err(|error| usage(&error))?;
            let outcome = making::plan(context, pipeline, &planning, matches);
            outcome.map_err(|failed| failed.or_command(|failed| context.next(failed, None)))
        }
        "gates" => {
            let gates = Gates::from_arg_matches(matches).map_err(|error| usage(&error))?;
            about_change(
                context,
                &gates.dir,
                making::gates(context, pipeline, &gates),
            )
        }
        _ => {
            let Directory { dir } =
                Directory::from_arg_matches(matches).map_err(|error| usage(&error))?;
            let outcome = match command {
                "replan" => making::replan(context, pipeline, &dir),
                "rehearse" => running::rehearse(context, pipeline, &dir),
                _ => running::run(context, pipeline, &dir),
            };
            about_change(context, &dir, outcome)
        }
    }
}

fn of_standard(
    context: &Context<'_>,
    pipeline: Option<&dyn Pipeline>,
    command: Standard,
) -> Result<Answer, Failed> {
    let outcome = match command {
        Standard::Init {
            tables,
            guard,
            print_sql,
        } => installing::init(context, &tables, guard.map(Guard::from), print_sql),
        Standard::Doctor => checking::doctor(context),
        Standard::Show { dir, format } => {
            return about_change(context, &dir, showing::show(&dir, format));
        }
        Standard::Diff { before, after } => showing::diff(&before, &after),
        Standard::Approve(sign) => {
            return about_change(context, &sign.dir, signing::sign(context, &sign, false));
        }
        Standard::Reject(sign) => {
            return about_change(context, &sign.dir, signing::sign(context, &sign, true));
        }
        Standard::Admit(admit) => {
            return about_change(context, &admit.dir, admitting::admit(context, &admit));
        }
        Standard::Check { dir } => {
            return about_change(context, &dir, checking::check(context, &dir));
        }
        Standard::Switch { turn } => switching::turn(context, turn),
        Standard::Runs { open } => auditing::runs(context, open),
        Standard::Metrics => measuring::metrics(context),
        Standard::Watch(watch) => watching::watch(context, &watch),
        Standard::Evidence { plan, out } => auditing::evidence(context, &plan, out),
        Standard::Verify {
            dir,
            signers,
            plan,
            head,
        } => auditing::verify(&dir, &signers, plan.as_deref(), head.as_deref()),
        Standard::Completions { shell } => {
            let mut bytes = Vec::new();
            let mut command = args::command(context.name, pipeline);
            clap_complete::generate(shell, &mut command, context.name, &mut bytes);
            Ok(text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Standard::Man => {
            let mut bytes = Vec::new();
            let rendered =
                clap_mangen::Man::new(args::command(context.name, pipeline)).render(&mut bytes);
            rendered
                .map(|()| text(String::from_utf8_lossy(&bytes).into_owned()))
                .map_err(|error| Failed::new(exit::UNEXPECTED, "unexpected", &error, None))
        }
    };
    outcome.map_err(|failed| failed.or_command(|failed| context.next(failed, None)))
}

fn text(text: String) -> Answer {
    Answer::new(
        answer::About::default(),
        serde_json::json!({ "text": text }),
        text,
    )
}

/// Returns a moment for people: the time, and how far it is.
pub(super) fn moment(at: SystemTime) -> String {
    let rounded = |far: std::time::Duration| {
        humantime::format_duration(std::time::Duration::from_secs(far.as_secs() / 60 * 60))
            .to_string()
    };
    let far = match at.duration_since(SystemTime::now()) {
        Ok(ahead) if ahead.as_secs() < 60 => "within a minute".to_owned(),
        Ok(ahead) => format!("in {}", rounded(ahead)),
        Err(past) if past.duration().as_secs() < 60 => "just now".to_owned(),
        Err(past) => format!("{} ago", rounded(past.duration())),
    };
    format!("{} ({far})", Timestamp::of(at))
}

/// Returns a moment for programs.
pub(super) fn stamp(at: SystemTime) -> String {
    Timestamp::of(at).to_string()
}

/// Returns the first digits of a digest, for people.
pub(super) fn short(digest: crate::Digest) -> String {
    digest.to_string().chars().take(8).collect()
}
