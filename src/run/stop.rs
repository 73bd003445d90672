use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kill_switch::{KillSwitch, SwitchState, SwitchUnreadable};

/// Stops a run from another thread: a signal handler's, a service's.
///
/// From [`stop`](StopHandle::stop) on, the run's kill switch counts as OFF, and the statement that is running is ended with
/// its session, through another one. The phase is rolled back, with
/// [`RollbackCause::Stopped`](crate::RollbackCause::Stopped), and no other begins. A commit that was sent already comes to
/// its end: it is committed, or it is not, and the run says which.
///
/// It does not interrupt what an adapter does elsewhere: a loop without statements, another connection, a sleep; nor the
/// making of a connection. There is no way back: each run takes another handle.
///
/// ```no_run
/// # use phasegate::*;
/// # fn example(runner: LiveRunner) {
/// let stop = StopHandle::new();
/// let on_signal = stop.clone();
/// ctrlc::set_handler(move || on_signal.stop("Ctrl-C")).expect("one handler");
/// let runner = runner.stop_handle(&stop);
/// # }
/// ```
#[derive(Clone, Default)]
pub struct StopHandle {
    stopped: Arc<(Mutex<Option<String>>, Condvar)>,
}

impl StopHandle {
    /// Returns a handle that has stopped nothing yet.
    #[must_use]
    pub fn new() -> Self {
        StopHandle::default()
    }

    /// Stops the run, and each to come that has this handle. Does not wait for it. The first reason is kept.
    pub fn stop(&self, why: impl Into<String>) {
        let (stopped, wakes) = &*self.stopped;
        let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.get_or_insert_with(|| why.into());
        wakes.notify_all();
    }

    /// Returns why it was stopped; none if it was not.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        let (stopped, _) = &*self.stopped;
        stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits so long, or until it is stopped.
    pub(super) fn pause(&self, time: Duration) {
        let (stopped, wakes) = &*self.stopped;
        let end = Instant::now() + time;
        let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while stopped.is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = wakes.wait_timeout(stopped, left);
            stopped = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
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
}
