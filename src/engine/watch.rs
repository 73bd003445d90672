//! Bounds a phase from outside: when its time or its lease is over, its session is ended, independently of what the
//! session is doing and of the timeouts that are set in it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::StopHandle;
use crate::database::{Connector, EndBackend, Session, end_backend, lease_left};

/// The pause before another try to end the phase.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// How long a cancelled commit may take to respond before its session is ended.
const GRACE: Duration = Duration::from_secs(1);

const NEITHER: u8 = 0;
const STOPPED: u8 = 1;
const CLOSES: u8 = 2;

/// Returns whether `which` came before the other.
fn is_first(first: &AtomicU8, which: u8) -> bool {
    first
        .compare_exchange(NEITHER, which, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// The limits of a watched phase.
pub(super) struct Watched {
    pub(super) backend_pid: i32,
    pub(super) backend_start: String,
    pub(super) phase_over: Instant,
    /// `None` where no lease is needed.
    pub(super) lease: Option<Lease>,
    /// The handle by which the program stops the run, if it has one.
    pub(super) stop: Option<StopHandle>,
}

/// The lease under which a phase was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) epoch: i64,
    /// The last known end of the lease; an operator may extend it.
    pub(super) over: Instant,
}

impl Lease {
    /// Returns the lease with its current end; `None` if the server cannot be asked, or the lease is over.
    pub(super) fn extended(self, connector: &mut dyn Connector) -> Option<Self> {
        let mut session = Session::connect(connector).ok()?;
        let now = Instant::now();
        let left = lease_left(session.client(), self.epoch)?;
        Some(Lease {
            over: now.checked_add(left)?,
            ..self
        })
    }
}

/// Why the watch has ended a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    TimeOver,
    LeaseOver,
    /// The program stopped it, with this reason.
    Stopped(String),
}

/// The state that the watch and the phase share.
pub(super) struct Watch {
    ended: OnceLock<Ended>,
    /// Which came first: the program's stop, or the sending of the close.
    first: AtomicU8,
    closing: mpsc::Sender<()>,
}

impl Watch {
    /// Returns why the phase was ended; `None` if it was not.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.get().cloned()
    }

    /// Announces that the close is about to be sent. Returns `false` if the program has stopped the phase; then it
    /// must not be sent. From here on, the watch cancels the statement before it ends the session, since a cancelled
    /// close has a definite response.
    #[must_use]
    pub(super) fn closes(&self) -> bool {
        // The receiver is gone if the watcher thread was not started.
        let _ = self.closing.send(());
        is_first(&self.first, CLOSES)
    }
}

/// Performs `phase` under watch. Meanwhile, only the watcher uses the connector.
pub(super) fn watched<T>(
    connector: &mut dyn Connector,
    watched: &Watched,
    phase: impl FnOnce(&Watch) -> T,
) -> T {
    let (closing, heard) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let watch = Watch {
        ended: OnceLock::new(),
        first: AtomicU8::new(NEITHER),
        closing,
    };
    thread::scope(|scope| {
        // Dropped when `phase` ends, also by a panic, which ends the watcher.
        let _done = done;
        let (ended, first) = (&watch.ended, &watch.first);
        let keep = move || watch_over(connector, watched, ended, first, &heard, &is_done);
        // If the thread cannot be started, the server's own timeouts still hold.
        let _ = thread::Builder::new()
            .name("phasegate-watch".to_owned())
            .spawn_scoped(scope, keep);
        phase(&watch)
    })
}

fn watch_over(
    connector: &mut dyn Connector,
    watched: &Watched,
    ended: &OnceLock<Ended>,
    first: &AtomicU8,
    closing: &mpsc::Receiver<()>,
    done: &mpsc::Receiver<()>,
) {
    let is_done = |wait: Duration| done.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
    let mut lease = watched.lease;
    // Once the close is sent, the program can no longer stop the phase.
    let mut closes = false;
    let why = loop {
        let (over, why) = match lease {
            Some(lease) if lease.over <= watched.phase_over => (lease.over, Ended::LeaseOver),
            _ => (watched.phase_over, Ended::TimeOver),
        };
        let left = over.saturating_duration_since(Instant::now());
        let wait = match watched.stop {
            Some(_) if !closes => left.min(BETWEEN_TRIES),
            _ => left,
        };
        if is_done(wait) {
            return;
        }
        if let Some(why) = watched.stop.as_ref().and_then(StopHandle::stopped) {
            if is_first(first, STOPPED) {
                break Ended::Stopped(why);
            }
            closes = true;
        }
        if wait < left {
            continue;
        }
        match lease
            .filter(|_| why == Ended::LeaseOver)
            .and_then(|lease| lease.extended(connector))
        {
            Some(extended) => lease = Some(extended),
            None => break why,
        }
    };
    // Set only here, so that it cannot fail.
    let _ = ended.set(why);
    let mut cancelled = None;
    loop {
        closes |= closing.try_recv().is_ok();
        let cancel = closes && cancelled.is_none();
        if cancel {
            cancelled = Some(Instant::now());
        }
        let waiting = cancelled.is_some_and(|at| at.elapsed() < GRACE);
        if cancel || !waiting {
            let how = if cancel {
                EndBackend::Cancel
            } else {
                EndBackend::Terminate
            };
            let session = Session::connect(connector);
            let was_there = session.ok().and_then(|mut session| {
                let (pid, start) = (watched.backend_pid, &watched.backend_start);
                end_backend(session.client(), pid, start, how)
            });
            if was_there == Some(false) {
                return;
            }
        }
        if is_done(BETWEEN_TRIES) {
            return;
        }
    }
}
