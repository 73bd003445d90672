//! The whole program: `closing plan`, `closing run`, and the other commands of `closing --help`.

use std::process::ExitCode;

use closing::{Bank, CloseAccounts, Predict, pipeline};

fn main() -> ExitCode {
    phasegate::program("closing")
        .input(|given: CloseAccounts| Ok(given))
        .simulator(|_| Ok(Predict))
        .adapter(|_| Ok(Bank))
        .dry(pipeline)
        .rehearsed(pipeline)
        .live(pipeline)
        .main()
}
