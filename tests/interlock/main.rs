//! The wall in the database: what the runner's role may send, whatever it is, commits nothing that is not sealed,
//! planned, in order, approved and switched on, and writes no guarded table outside a phase.
#![allow(clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../random/mod.rs"]
mod random;
#[path = "../server/mod.rs"]
mod server;

mod hand;

mod admission;
mod attacks;
mod bare_names;
mod chance;
mod committing;
mod counting;
mod effects;
mod guard;
mod lost_guards;
mod membership;
mod numbers;
mod owned;
mod powers;
mod privileges;
mod refusals;
mod relatives;
mod remembered;
mod sealing;
mod shadowing;
mod shadows;
mod staying_open;
mod undone;
mod without_transition_table;
