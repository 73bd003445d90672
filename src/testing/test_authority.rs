use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::approves_everything::yes;
use super::clock::TestClock;
use crate::Gate;
use crate::approval::{ApprovalRequest, Attestation, Authority, Denied};

/// An authority in the test's hand: it denies each gate until the test approves it. Clones are handles of one
/// authority. Never use it outside of a test.
///
/// Its approvals have the nonces of [`ApprovesEverything`](super::ApprovesEverything), so that
/// [`ApprovesEverything::admit`](super::ApprovesEverything::admit) admits them to a database.
///
/// ```
/// use phasegate::{Sg1, Sg2, testing::{TestAuthority, TestClock}};
/// use std::time::Duration;
///
/// let clock = TestClock::stopped_now();
/// let authority = TestAuthority::new(&clock);
/// authority.approve::<Sg1>();
/// authority.approve_until::<Sg2>(clock.now() + Duration::from_secs(60));
/// clock.advance(Duration::from_secs(61));   // a run that asks for SG_2 now is refused
/// ```
#[derive(Debug, Clone)]
pub struct TestAuthority {
    clock: TestClock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The end of the approval of each gate; `None` if it has none.
    approved: BTreeMap<String, Option<SystemTime>>,
    asked: Vec<String>,
}

impl TestAuthority {
    /// Creates an authority that approves nothing, and for which approvals expire by `clock`.
    #[must_use]
    pub fn new(clock: &TestClock) -> Self {
        TestAuthority {
            clock: clock.clone(),
            inner: Arc::default(),
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Approves a gate, for every phase and without expiry.
    pub fn approve<G: Gate>(&self) {
        self.with(|inner| inner.approved.insert(G::NAME.to_owned(), None));
    }

    /// Approves a gate until its clock shows `moment`. The engine judges what it was told when it asked: to advance the
    /// clock afterwards does not shorten an approval that it has.
    pub fn approve_until<G: Gate>(&self, moment: SystemTime) {
        self.with(|inner| inner.approved.insert(G::NAME.to_owned(), Some(moment)));
    }

    /// Denies a gate from now on.
    pub fn deny<G: Gate>(&self) {
        self.with(|inner| inner.approved.remove(G::NAME));
    }

    /// Returns what was asked so far, each as `GATE for PHASE`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.with(|inner| inner.asked.clone())
    }

    /// Returns the time of the machine's clock that is as far away as `moment` is on the test's clock.
    fn on_this_machine(&self, moment: SystemTime) -> SystemTime {
        let (shown, now) = (self.clock.now(), SystemTime::now());
        let moved = match moment.duration_since(shown) {
            Ok(left) => now.checked_add(left),
            Err(past) => now.checked_sub(past.duration()),
        };
        moved.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Authority for TestAuthority {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let approved = self.with(|inner| {
            let asked = format!("{} for {}", request.gate(), request.phase());
            inner.asked.push(asked);
            inner.approved.get(request.gate()).copied()
        });
        let Some(until) = approved else {
            return Err(Denied::new("the test has not approved it"));
        };
        let attestation = yes(request);
        let Some(until) = until else {
            return Ok(attestation);
        };
        let mut statement = attestation.statement().clone();
        statement.expires = self.on_this_machine(until);
        Ok(Attestation::assert_verified(statement, "a double"))
    }
}
