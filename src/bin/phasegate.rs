//! The commands of phasegate that need no pipeline; see `phasegate --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    phasegate::program::standalone().main()
}
