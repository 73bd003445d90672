//! A program without an adapter does not compile: nothing would perform its phases.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .main()
}

fn main() {}
