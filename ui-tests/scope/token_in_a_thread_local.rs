//! A token cannot be left in a thread-local for a later run.

use std::cell::RefCell;

use phasegate::Sg1Approved;

thread_local! {
    static KEPT: RefCell<Option<Sg1Approved<'static>>> = const { RefCell::new(None) };
}

fn keeps<'run>(sg1: Sg1Approved<'run>) {
    KEPT.with(|kept| *kept.borrow_mut() = Some(sg1));
}

fn main() {}
