use std::time::Duration;

use crate::database::tx::PhaseTx;
use crate::observer::Event;

/// Chunks grow while one takes less than this, and shrink when one takes more than twice as long: the kill switch is
/// read between chunks.
pub(super) const CHUNK_TIME: Duration = Duration::from_millis(200);

/// How many rows are done, of how many.
pub(super) struct Progress {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
}

impl Progress {
    pub(super) fn one(&mut self, tx: &mut PhaseTx<'_>) {
        self.done += 1;
        (tx.observer)(&Event::Rows {
            phase: tx.phase,
            done: self.done,
            total: self.total,
        });
    }
}
