//! The pipeline that phasegate was made for, from a Markdown document to enacted information units.
//!
//! `cargo run --example iu_cutter` finds or starts a PostgreSQL of its own, and shows: a dry run
//! and its plan; a rehearsal; approvals signed with SSH keys, and those that do not count; what is
//! refused; the live run; a document that the server refuses at one unit, of which nothing remains; a
//! phase that does not do what was approved; the kill switch turned off in mid-phase; a commit whose
//! response is lost, which is resolved; and the evidence of a run, verified without phasegate. It exits
//! with 1 if any of this does not hold.

#![allow(unreachable_pub, clippy::print_stdout)] // a program that prints, and no library

mod approvers;
mod demonstration;
mod document;
mod install;
mod lossy;
mod markdown;
mod phases;
mod register;
mod reviewed;
mod simulator;
mod terminal;
mod test_database;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Cuts a Markdown document into information units and enacts them in PostgreSQL: dry, rehearsed,
/// approved, refused, live, rolled back, stopped, resolved, and audited.
#[derive(Debug, Parser)]
#[command(
    name = "iu_cutter",
    after_help = "It works in a database of its own, which it creates and drops again. The server is\n\
                  the one of DATABASE_URL if that is set; else an installed one (PG_BIN_DIR,\n\
                  pg_config, PATH, the usual places), started privately; else an embedded one.\n\
                  Ctrl-C turns the kill switch OFF: what is being performed is rolled back.\n\n\
                  Exit status: 0 if everything held, 1 if something did not, 2 for a document or a\n\
                  command line that cannot be used."
)]
struct Arguments {
    /// The Markdown document to cut, or `-` for standard input [default: the charter that ships]
    document: Option<PathBuf>,

    /// Leave out headings with neither text nor headings below them, instead of refusing them, and
    /// what stands above the first heading if it shows no text (comments, badges)
    #[arg(long)]
    skip_empty: bool,

    /// Save the plan here: canonical JSON, whose `sha256sum` is the plan's digest
    #[arg(long, value_name = "FILE")]
    save_plan: Option<PathBuf>,
}

/// The document that ships.
const CHARTER: &str = "crates/iu-cutter/charter.md";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (document, left_out) = match read(&arguments) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match demonstration::show(&document, &left_out, arguments.save_plan.as_deref()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\niu_cutter: {error}");
            if let Some(hint) = terminal::hint_of(&*error) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The document, and a word on what of it was left out.
fn read(arguments: &Arguments) -> Result<(phases::Document, String), Box<dyn std::error::Error>> {
    let (name, text) = match &arguments.document {
        Some(path) => document::read_document(path)?,
        None => (CHARTER.to_owned(), include_str!("../charter.md").to_owned()),
    };
    let cut = markdown::cut(&name, &text, arguments.skip_empty)?;
    let mut left_out = String::new();
    if cut.skipped > 0 {
        left_out += &format!(", left out as empty: {}", cut.skipped);
    }
    if cut.front_matter > 0 {
        left_out += &format!(", {} lines of front matter left out", cut.front_matter);
    }
    if cut.preamble > 0 {
        left_out += &format!(
            ", lines without text above the first heading left out: {}",
            cut.preamble
        );
    }
    let units = cut.units;
    Ok((phases::Document { name, units }, left_out))
}
