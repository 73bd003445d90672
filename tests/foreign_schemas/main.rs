//! Schemas that others wrote: what a statement does in them, through triggers, rules, cascades and partitions, is
//! counted exactly, or the phase is refused.
#![allow(clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../random/mod.rs"]
mod random;
#[path = "../server/mod.rs"]
mod server;

mod change;
mod diff;
mod moves;
mod property;
mod schema;
mod statements;
