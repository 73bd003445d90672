//! A simulator that no function performs with would never run.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
