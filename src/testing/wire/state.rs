//! The state of a session.

use std::time::Instant;

use super::own::OpenPhase;
use super::transaction::Transaction;

/// A session, as the rest of the server sees it.
pub(super) struct State {
    pub(super) pid: i32,
    pub(super) role: String,
    pub(super) began: Instant,
    pub(super) transaction: Transaction,
    pub(super) phase: Option<OpenPhase>,
}
