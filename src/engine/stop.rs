use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};

/// Stops a run from another thread, for example from a signal handler or a service.
///
/// From [`stop`](StopHandle::stop) on, the run's kill switch counts as OFF, and the running statement is ended with
/// its session, through another session. The phase is rolled back, with
/// [`RollbackCause::Stopped`](crate::error::RollbackCause::Stopped), and no other phase begins. A commit that was sent
/// already is completed: the phase is committed or rolled back, and the run's result tells which.
///
/// A handle does not interrupt what an adapter does elsewhere: a loop without statements, another connection, a sleep;
/// nor the opening of a connection. Stopping cannot be undone: use a new handle for each run.
///
/// ```no_run
/// # use phasegate::{*, runner::StopHandle};
/// # fn example(runner: LiveRunner) {
/// let stop = StopHandle::new();
/// let on_signal = stop.clone();
/// ctrlc::set_handler(move || on_signal.stop("Ctrl-C")).expect("one handler");
/// let runner = runner.stop_handle(&stop);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wakes: Condvar,
}

#[derive(Default)]
struct State {
    stopped: Option<String>,
    /// The phase in progress, and whether its commit was sent.
    #[cfg(feature = "program")]
    phase: Option<(String, bool)>,
    /// The handles of the runs that are stopped with this one.
    runs: Vec<Weak<Shared>>,
}

impl StopHandle {
    /// Returns a handle that has stopped nothing yet.
    #[must_use]
    pub fn new() -> Self {
        StopHandle::default()
    }

    /// Stops the run, and each later run with this handle. Does not wait for the run to end. The first reason is kept.
    pub fn stop(&self, why: impl Into<String>) {
        let why = why.into();
        let mut state = self.state();
        state.stopped.get_or_insert_with(|| why.clone());
        let runs = std::mem::take(&mut state.runs);
        drop(state);
        self.shared.wakes.notify_all();
        for shared in runs.iter().filter_map(Weak::upgrade) {
            StopHandle { shared }.stop(why.as_str());
        }
    }

    /// Returns the reason of the stop; `None` if the handle was not stopped.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.state().stopped.clone()
    }

    /// Keeps the phase in progress, and whether its commit was sent, for the person who stops the run.
    #[cfg(feature = "program")]
    pub(crate) fn performs(&self, phase: Option<(String, bool)>) {
        self.state().phase = phase;
    }

    /// Returns the phase in progress, and whether its commit was sent.
    #[cfg(feature = "program")]
    pub(crate) fn in_progress(&self) -> Option<(String, bool)> {
        self.state().phase.clone()
    }

    /// Stops `run` when this handle is stopped.
    pub(crate) fn stops(&self, run: &StopHandle) {
        let mut state = self.state();
        if let Some(why) = state.stopped.clone() {
            drop(state);
            run.stop(why);
            return;
        }
        state.runs.retain(|run| run.strong_count() > 0);
        state.runs.push(Arc::downgrade(&run.shared));
    }

    /// Waits for `time`, or until the handle is stopped.
    pub(super) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut state = self.state();
        while state.stopped.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.wakes.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StopHandle").field(&self.stopped()).finish()
    }
}

/// The kill switch of a run that can be stopped.
pub(super) struct Stoppable<'a> {
    pub(super) kill_switch: &'a dyn KillSwitch,
    pub(super) stop: Option<&'a StopHandle>,
}

impl KillSwitch for Stoppable<'_> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        if self.stop.is_some_and(|stop| stop.stopped().is_some()) {
            return Ok(SwitchState::Off);
        }
        self.kill_switch.read()
    }

    fn describe_off(&self) -> SwitchOff {
        match self.stop.and_then(StopHandle::stopped) {
            Some(why) => SwitchOff::new("the stop handle of the run").because(why),
            None => self.kill_switch.describe_off(),
        }
    }
}
