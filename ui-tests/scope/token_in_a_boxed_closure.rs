//! A boxed closure that outlives the run cannot hold a token.

use phasegate::Sg1Approved;

fn hides<'run>(sg1: Sg1Approved<'run>) -> Box<dyn FnOnce()> {
    Box::new(move || drop(sg1))
}

fn main() {}
