//! Every fault that can be made between a phase and its commit, and after each one the rule: a
//! phase's rows are there together with its row of the journal, or neither is.
#![cfg(unix)]
// What was skipped, the seed, and the times.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../random/mod.rs"]
mod random;
#[path = "../server/mod.rs"]
mod server;

mod cases;
mod chance;
mod child;
mod disk;
mod page;
mod pooling;
mod promotion;
mod proxy;
mod replay;
mod replica;
mod resolving;
mod rule;
mod steps;
mod wire;
mod workers;
