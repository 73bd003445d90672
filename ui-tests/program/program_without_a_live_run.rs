//! A program without a function for live runs does not compile.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
