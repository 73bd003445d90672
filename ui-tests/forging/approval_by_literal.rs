//! Nobody writes an approval by hand.

use std::marker::PhantomData;

use phasegate::Sg1Approved;

fn forged<'run>() -> Sg1Approved<'run> {
    Sg1Approved {
        requirement: PhantomData,
        brand: PhantomData,
    }
}

fn main() {}
