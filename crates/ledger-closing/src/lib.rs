//! Closes a ledger: an example of a crate that depends on phasegate, and tests its own illegal states.
//!
//! - `src/reviewed.rs` pins what a reviewer approved of each phase, one line each.
//! - `tests/illegal.rs` compiles the programs in `tests/illegal/`, none of which may compile.
//! - `clippy.toml` forbids what bypasses the gates; `tests/forbidden.rs` shows that clippy reports each.

mod phases;
mod reviewed;

pub use phases::{Archive, Books, Freeze, Post, Predict, Sum, close};
