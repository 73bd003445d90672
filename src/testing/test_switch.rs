use std::sync::{Arc, Mutex, PoisonError};

use crate::switch::{KillSwitch, SwitchState, SwitchUnreadable};

/// A kill switch in the test's hand: OFF until the test turns it on. Clones are handles of one switch.
///
/// ```
/// use phasegate::{switch::{KillSwitch, SwitchState}, testing::TestSwitch};
///
/// let switch = TestSwitch::off();
/// let hand = switch.clone();
/// hand.turn_on();
/// assert_eq!(switch.read()?, SwitchState::On);
/// hand.break_it("the disk is gone");
/// assert!(switch.read().is_err());
/// # Ok::<(), phasegate::switch::SwitchUnreadable>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestSwitch(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    state: Result<SwitchState, String>,
    readings: usize,
}

impl TestSwitch {
    /// Creates a switch that is OFF.
    #[must_use]
    pub fn off() -> Self {
        TestSwitch::new(SwitchState::Off)
    }

    /// Creates a switch that is ON.
    #[must_use]
    pub fn on() -> Self {
        TestSwitch::new(SwitchState::On)
    }

    fn new(state: SwitchState) -> Self {
        TestSwitch(Arc::new(Mutex::new(Inner {
            state: Ok(state),
            readings: 0,
        })))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Turns the switch ON.
    pub fn turn_on(&self) {
        self.with(|inner| inner.state = Ok(SwitchState::On));
    }

    /// Turns the switch OFF.
    pub fn turn_off(&self) {
        self.with(|inner| inner.state = Ok(SwitchState::Off));
    }

    /// Makes each reading fail with this reason, until the switch is turned on or off.
    pub fn break_it(&self, reason: &str) {
        self.with(|inner| inner.state = Err(reason.to_owned()));
    }

    /// Returns how often the switch was read.
    #[must_use]
    pub fn readings(&self) -> usize {
        self.with(|inner| inner.readings)
    }
}

impl KillSwitch for TestSwitch {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        self.with(|inner| {
            inner.readings += 1;
            inner.state.clone().map_err(SwitchUnreadable::new)
        })
    }
}
