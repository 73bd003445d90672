//! A program without a simulator has no dry run: a rehearsal makes its plan.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
