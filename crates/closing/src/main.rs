//! The whole program: `closing plan`, `closing run`, and the other commands of `closing --help`.

use std::process::ExitCode;

use closing::{Bank, Predict, pipeline};

#[derive(clap::Args)]
struct Numbers {
    /// The numbers of the accounts to close
    #[arg(required = true)]
    numbers: Vec<String>,
}

fn main() -> ExitCode {
    phasegate::program("closing")
        .input(|given: Numbers| Ok(given.numbers))
        .simulator(|_| Ok(Predict))
        .adapter(|_| Ok(Bank))
        .dry(pipeline)
        .rehearsed(pipeline)
        .live(pipeline)
        .main()
}
