//! What a transaction leaves for the engine, whatever its adapter returns.

use crate::outcome::RollbackCause;

/// The state of a transaction that the engine reads after the adapter has returned, independently of its return value.
#[derive(Default)]
pub(crate) struct Traces {
    /// The server's message for the first statement that failed and was not undone by a savepoint.
    pub(crate) failed_statement: Option<String>,
    /// Why a loop or calls over rows failed, unless a savepoint undid them: some rows were performed and others were
    /// not, so that an adapter cannot return `Ok` in spite of it.
    pub(crate) failed_rows: Option<String>,
    /// The number of loops and calls over rows that have not ended: one that panicked never does.
    pub(crate) unfinished_rows: u32,
    /// A statement that the plan does not have, which was not sent. No savepoint undoes this: it is another program than
    /// the one that was rehearsed.
    pub(crate) unplanned: Option<String>,
    /// Why the kill switch stopped the phase.
    pub(crate) stopped: Option<RollbackCause>,
    /// Whether the session is lost, and the server has rolled the transaction back.
    pub(crate) lost: bool,
    /// The number of savepoints that were neither released nor rolled back to.
    pub(crate) open_savepoints: u32,
}

impl Traces {
    /// Returns why rows failed whose error may have been dropped; `None` if none failed.
    pub(crate) fn dropped_rows(&mut self) -> Option<String> {
        let unfinished = std::mem::take(&mut self.unfinished_rows) > 0;
        let failed = self.failed_rows.take();
        failed.or_else(|| {
            unfinished.then(|| "the rows were not completed: a panic was caught".to_owned())
        })
    }
}
