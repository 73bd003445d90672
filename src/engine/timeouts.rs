use std::time::Duration;

/// The time limits of a phase, and of its waits.
///
/// The server gets each of them, except the last, for the transaction of the phase. SQL can unset them, so the whole
/// phase is bounded from outside as well: another session ends it when [`phase`](Timeouts::phase) or the lease of the
/// kill switch is over. The server does not get the end of the lease as a timeout, since an operator may extend the
/// lease.
///
/// ```
/// use phasegate::Timeouts;
/// use std::time::Duration;
///
/// let quick = Timeouts::default().lock(Duration::from_secs(1)).phase(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub(crate) lock: Duration,
    pub(crate) statement: Duration,
    pub(crate) idle: Duration,
    pub(crate) phase: Duration,
    pub(crate) resolve: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts::DEFAULT
    }
}

impl Timeouts {
    /// 10 s for a lock, 10 min for a statement, 10 min between statements, 1 h for the phase, and 10 s
    /// for resolving a commit in doubt.
    pub const DEFAULT: Timeouts = Timeouts {
        lock: Duration::from_secs(10),
        statement: Duration::from_mins(10),
        idle: Duration::from_mins(10),
        phase: Duration::from_hours(1),
        resolve: Duration::from_secs(10),
    };

    /// Sets how long to wait for a lock, and for another run of the same plan (`lock_timeout`).
    #[must_use]
    pub const fn lock(mut self, lock: Duration) -> Self {
        self.lock = lock;
        self
    }

    /// Sets how long one statement may take (`statement_timeout`).
    #[must_use]
    pub const fn statement(mut self, statement: Duration) -> Self {
        self.statement = statement;
        self
    }

    /// Sets how long the adapter may be busy between two statements (`idle_in_transaction_session_timeout`).
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets how long the phase may take, from its opening to its commit. The server bounds it by
    /// `transaction_timeout`, with five seconds more, where it has that parameter; this crate bounds it in any case.
    #[must_use]
    pub const fn phase(mut self, phase: Duration) -> Self {
        self.phase = phase;
        self
    }

    /// Sets how long to try to resolve a commit whose response was lost, before it is returned as
    /// [`InDoubt`](crate::error::InDoubt). With zero it is returned at once.
    #[must_use]
    pub const fn resolve(mut self, resolve: Duration) -> Self {
        self.resolve = resolve;
        self
    }
}

/// Returns the timeout for the server, at least 1: zero would mean no limit.
pub(super) fn milliseconds(timeout: Duration) -> u64 {
    const MOST: u64 = i32::MAX as u64;
    u64::try_from(timeout.as_millis()).map_or(MOST, |millis| millis.clamp(1, MOST))
}
