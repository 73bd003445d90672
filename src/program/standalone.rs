//! The commands that need no pipeline, as the program `phasegate`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{Io, args, commands};

/// The name of the program, and of its commands in hints.
const NAME: &str = "phasegate";

/// The commands of a [`Program`](super::Program) that need none of its types: an approver, an operator and an auditor
/// can use them where the pipeline does not compile.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Standalone;

/// Returns the program `phasegate`.
#[must_use]
pub fn standalone() -> Standalone {
    Standalone
}

impl Standalone {
    /// Runs the command that the arguments of the process name; see [`Program::main`](super::Program::main).
    #[must_use]
    pub fn main(self) -> ExitCode {
        commands::main(NAME, None)
    }

    /// Runs the command that `args` name, for tests; see [`Program::run`](super::Program::run).
    pub fn run<T: Into<OsString> + Clone>(
        self,
        args: impl IntoIterator<Item = T>,
        io: &dyn Io,
    ) -> u8 {
        let args = args.into_iter().map(Into::into).collect();
        commands::run(NAME, None, args, io)
    }

    /// Returns the definition of the command line.
    #[must_use]
    pub fn command(self) -> clap::Command {
        args::command(NAME, None)
    }
}
