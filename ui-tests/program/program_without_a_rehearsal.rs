//! A program without a function for rehearsals does not compile.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
