//! A mode of one's own.

use phasegate::{And, Mode, Requirement};

enum Careful {}

impl Mode for Careful {
    const NAME: &'static str = "careful";
    type Switch<'run> = ();
    type Approval<'run, R: Requirement> = ();

    fn and<'run, A: Requirement, B: Requirement>(
        _: Self::Approval<'run, A>,
        _: Self::Approval<'run, B>,
    ) -> Self::Approval<'run, And<A, B>> {
    }
}

fn main() {}
