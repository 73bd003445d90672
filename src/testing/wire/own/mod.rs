//! What a fake server knows of this crate's own messages: the opening and the close of a phase, and the statements
//! around them. No other file of the fake knows any of them.

mod known;
mod schema;

pub(super) use known::{Known, call_of_each_row};
pub(super) use schema::{Caller, OpenPhase, Schema};
