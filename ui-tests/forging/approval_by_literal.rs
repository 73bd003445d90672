//! An approval of one gate out of the brand of another: an approval cannot be written by hand.

use std::marker::PhantomData;

use phasegate::{Sg1Approved, Sg2Approved};

fn forged<'run>(other: Sg2Approved<'run>) -> Sg1Approved<'run> {
    Sg1Approved {
        requirement: PhantomData,
        brand: other.brand,
    }
}

fn main() {}
