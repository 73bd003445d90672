//! The kill switch as a lease: what ends with it, what it waits for, and what it outlives.
#![allow(clippy::unwrap_used)]
#![allow(unreachable_pub)] // the production code of `every_interleaving.rs`

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../random/mod.rs"]
mod random;
#[path = "../server/mod.rs"]
mod server;

mod attacks;
mod commits_in_flight;
mod every_interleaving;
mod extending;
mod hand;
mod housekeeping;
mod in_process;
mod lease;
mod operators;
mod program_stops;
mod races;
mod silence;
mod status;
mod stopping;
mod without_predefined_roles;
