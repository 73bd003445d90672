//! A closure performs the phase that it takes.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::prelude::*;
use pipeline::{Check, Draft};

fn closure_for_another_phase(target: Target) {
    let simulator = phasegate::simulator_fn(|_: &Check, _: &u64, _: &mut Effects| Ok(1));
    let _ = DryRunner::new("items").target(target).simulator(simulator).run(|run, on| {
        let sg1 = run.approval()?;
        run.phase(Draft::of(&["a"])).perform(on, sg1, Start).map(drop)
    });
}

fn main() {}
