//! A token cannot pass as `dyn Any`.

use std::any::Any;

use phasegate::Sg1Approved;

fn hides<'run>(sg1: Sg1Approved<'run>) -> Box<dyn Any> {
    Box::new(sg1)
}

fn main() {}
