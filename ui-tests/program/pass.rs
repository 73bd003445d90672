//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

use std::process::ExitCode;

use phasegate::prelude::*;

#[derive(clap::Args)]
struct Arguments {}

fn program_without_an_input() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn program_without_an_adapter() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn live_before_its_adapter() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn dry_without_a_simulator() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .adapter(|()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn simulator_without_a_dry_run() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn program_without_a_rehearsal() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn program_without_a_live_run() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn second_adapter() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(()))
        .simulator(|()| Ok(()))
        .adapter(|()| Ok(()))
        .dry(|_, _, ()| Ok(()))
        .rehearsed(|_, _, ()| Ok(()))
        .live(|_, _, ()| Ok(()))
        .main()
}

fn pipeline<'run, M: Mode, W>(_: &mut Run<'run, M, W>, _: &Switch<'run, M>, _: &i32) -> Result<(), Error> {
    Ok(())
}

fn pipeline_of_another_input() -> ExitCode {
    phasegate::program("closing")
        .input(|_: Arguments| Ok(7))
        .adapter(|_| Ok(()))
        .rehearsed(pipeline)
        .live(pipeline)
        .main()
}
