//! A custom requirement, which would demand no approval.

use phasegate::{Mode, approval::Requirement};

enum Nothing {}

impl Requirement for Nothing {
    type Witness<'run, M: Mode> = ();
}

fn main() {}
