//! A program without an input does not compile: nothing would say what its arguments mean.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .main()
}

fn main() {}
