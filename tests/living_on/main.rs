//! A database that lives on: dumped, restored, copied, upgraded, promoted. `docs/restore.md` has what holds in the copy.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[path = "../fault_matrix/page.rs"]
mod page;
#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;

mod dumps;
mod judged;
mod place;
mod table;
