//! A function that takes another input than the program makes of its arguments.

use std::process::ExitCode;

use phasegate::prelude::*;

#[derive(clap::Args)]
struct Arguments {}

fn pipeline<'run, M: Mode, W>(_: &mut Run<'run, M, W>, _: &Switch<'run, M>, _: &String) -> Result<(), Error> {
    Ok(())
}

fn runs() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(7))
        .adapter(|_| Ok(()))
        .rehearsed(pipeline)
        .live(pipeline)
        .main()
}

fn main() {}
