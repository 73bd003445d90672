use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A clock in the test's hand: it stands still until the test advances it. Clones are handles of one clock.
///
/// [`TestAuthority`](super::TestAuthority) and a `FakePostgres` read it. The engine itself reads the machine's clock,
/// and there is no way to give it another.
///
/// ```
/// use phasegate::testing::TestClock;
/// use std::time::{Duration, SystemTime};
///
/// let clock = TestClock::at(SystemTime::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(90));
/// ```
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<SystemTime>>);

impl TestClock {
    /// Creates a clock that shows `moment`.
    #[must_use]
    pub fn at(moment: SystemTime) -> Self {
        TestClock(Arc::new(Mutex::new(moment)))
    }

    /// Creates a clock that shows the present time of the machine, and stands still.
    #[must_use]
    pub fn stopped_now() -> Self {
        TestClock::at(SystemTime::now())
    }

    /// Returns the time that the clock shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward.
    ///
    /// # Panics
    ///
    /// Panics if the time is beyond the range of the machine's clock.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
    }
}
