//! A second adapter, which would replace the one that was rehearsed.

use std::process::ExitCode;

#[derive(clap::Args)]
struct Arguments {}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn main() {}
