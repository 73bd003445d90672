//! A requirement that nobody has to meet.

use phasegate::{Mode, approval::Requirement};

enum Nothing {}

impl Requirement for Nothing {
    type Witness<'run, M: Mode> = ();
}

fn main() {}
