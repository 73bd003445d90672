//! Calls for rows: a loop to their author, and to the server a few statements.
#![allow(clippy::unwrap_used)]

mod bounded;
mod copy;
mod dropped;
mod laboratory;
mod named;
mod same_as_a_loop;
mod same_statement;
mod values;

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;
