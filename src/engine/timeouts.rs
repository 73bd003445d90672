use std::time::Duration;

/// How long a phase, and what it waits for, may take.
///
/// The server is told each of them for the transaction of the phase. SQL can unset them, so the whole
/// phase is bounded from outside as well: when [`phase`](Timeouts::phase) is over, or the lease of the kill switch, another
/// session ends it. The server is not told when the lease ends, since an operator may extend it.
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

    /// How long to wait for a lock, and for another run of the same plan (`lock_timeout`).
    #[must_use]
    pub const fn lock(mut self, lock: Duration) -> Self {
        self.lock = lock;
        self
    }

    /// How long one statement may take (`statement_timeout`).
    #[must_use]
    pub const fn statement(mut self, statement: Duration) -> Self {
        self.statement = statement;
        self
    }

    /// How long the adapter may be busy between two statements
    /// (`idle_in_transaction_session_timeout`).
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How long the phase may take, from its opening to its commit (`transaction_timeout`, and five seconds more, where the
    /// server has it, and bounded by this crate in any case).
    #[must_use]
    pub const fn phase(mut self, phase: Duration) -> Self {
        self.phase = phase;
        self
    }

    /// For how long to try to resolve a commit that was not answered, before it is returned as
    /// [`InDoubt`](crate::error::InDoubt). Zero hands it on at once.
    #[must_use]
    pub const fn resolve(mut self, resolve: Duration) -> Self {
        self.resolve = resolve;
        self
    }
}

/// What the server is told: zero would mean no limit to it.
pub(super) fn milliseconds(timeout: Duration) -> u64 {
    const MOST: u64 = i32::MAX as u64;
    u64::try_from(timeout.as_millis()).map_or(MOST, |millis| millis.clamp(1, MOST))
}
