use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};

/// The lowest bit: `off` was called while a scope was open. The bits above hold the number of open scopes.
const STOPPED: u64 = 1;
const ONE_SCOPE: u64 = 2;

/// A kill switch inside this process: OFF by default, ON only while a closure runs.
///
/// There is no guard object that could be forgotten: [`on_while`](InProcessSwitch::on_while) turns the switch off
/// again when the closure ends, also by a panic or an early return. Clones are handles of one switch; give one to the
/// thread that may turn it off.
///
/// ```
/// use phasegate::switch::{InProcessSwitch, KillSwitch, SwitchState};
///
/// let switch = InProcessSwitch::new();
/// let button = switch.clone();
/// assert_eq!(switch.read()?, SwitchState::Off);
/// switch.on_while(|| {
///     assert_eq!(switch.read().unwrap(), SwitchState::On);
///     button.off(); // from any thread
///     assert_eq!(switch.read().unwrap(), SwitchState::Off);
/// });
/// assert_eq!(switch.read()?, SwitchState::Off);
/// # Ok::<(), phasegate::switch::SwitchUnreadable>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct InProcessSwitch {
    state: Arc<AtomicU64>,
}

impl InProcessSwitch {
    /// Creates a switch that is OFF.
    #[must_use]
    pub fn new() -> Self {
        InProcessSwitch::default()
    }

    /// Runs `f` with the switch ON, and turns it OFF afterwards, also when `f` panics.
    ///
    /// Scopes may nest or overlap, in one thread or several: the switch is ON while at least one
    /// is open. After [`off`](InProcessSwitch::off) it stays OFF until every scope that was open
    /// has ended; a scope that is entered meanwhile is OFF too.
    pub fn on_while<T>(&self, f: impl FnOnce() -> T) -> T {
        let _scope = Scope::enter(&self.state);
        f()
    }

    /// Turns the switch OFF at once, for every scope that is open.
    ///
    /// The engine reads the switch before each phase and before each commit; a running phase is rolled back at the
    /// next reading.
    pub fn off(&self) {
        // Fails when no scope is open; the switch is then OFF already.
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                (state >= ONE_SCOPE).then_some(state | STOPPED)
            });
    }

    /// Returns whether the switch is ON at this moment.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        state >= ONE_SCOPE && state & STOPPED == 0
    }
}

impl KillSwitch for InProcessSwitch {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        Ok(if self.is_on() {
            SwitchState::On
        } else {
            SwitchState::Off
        })
    }

    fn describe_off(&self) -> SwitchOff {
        let off = SwitchOff::new("the kill switch in this process")
            .turned_on_by("run inside `InProcessSwitch::on_while`");
        if self.state.load(Ordering::SeqCst) & STOPPED == 0 {
            off
        } else {
            off.because("`InProcessSwitch::off` was called")
        }
    }
}

/// A local variable of `on_while`, which no caller can reach.
struct Scope<'a> {
    state: &'a AtomicU64,
}

impl<'a> Scope<'a> {
    fn enter(state: &'a AtomicU64) -> Self {
        state.fetch_add(ONE_SCOPE, Ordering::SeqCst);
        Scope { state }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        // Cannot fail: the closure always returns a value.
        let _ = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
                let left = state - ONE_SCOPE;
                Some(if left < ONE_SCOPE { 0 } else { left })
            });
    }
}
