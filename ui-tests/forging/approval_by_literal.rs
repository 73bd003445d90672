//! An approval of one gate out of the brand of another: nobody writes an approval by hand.

use std::marker::PhantomData;

use phasegate::{Sg1Approved, Sg2Approved};

fn forged<'run>(other: Sg2Approved<'run>) -> Sg1Approved<'run> {
    Sg1Approved {
        requirement: PhantomData,
        brand: other.brand,
    }
}

fn main() {}
