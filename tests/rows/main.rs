//! Calls for rows: a loop to their author, and to the server a few statements.
#![allow(clippy::unwrap_used)]

mod laboratory;
mod same_as_a_loop;

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;
