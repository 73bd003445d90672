//! The harness that gives tests and demos a real PostgreSQL keeps its promises.
#![cfg(unix)]
// The times that the tests take, and what their programs tell them.
#![allow(clippy::print_stdout)]

mod child;
mod choice;
mod death;
mod lifecycle;
mod processes;
mod roles;
mod scratch;
mod shared;
