//! The function of a live run is given after the adapter that performs it.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
