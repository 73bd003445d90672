//! Bounds a phase from outside: when its time or its lease is over, its session is ended, whatever it
//! is doing and whatever it has told the server about timeouts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::StopHandle;
use crate::database::{Connector, EndBackend, Session, end_backend, lease_left};

/// How long to wait before the phase is ended once more.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// How long a commit that was cancelled has to answer before its session is ended.
const GRACE: Duration = Duration::from_secs(1);

const NEITHER: u8 = 0;
const STOPPED: u8 = 1;
const CLOSES: u8 = 2;

/// Whether this one came before the other.
fn is_first(first: &AtomicU8, which: u8) -> bool {
    first
        .compare_exchange(NEITHER, which, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

/// What is watched.
pub(super) struct Watched {
    pub(super) backend_pid: i32,
    pub(super) backend_start: String,
    pub(super) phase_over: Instant,
    /// None where no lease is needed.
    pub(super) lease: Option<Lease>,
    /// By which the program stops the run, if it can.
    pub(super) stop: Option<StopHandle>,
}

/// The lease under which a phase was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) epoch: i64,
    /// When it ends, as far as is known; an operator may extend it.
    pub(super) over: Instant,
}

impl Lease {
    /// The same with the end that it has now; none if that cannot be asked, or it is over.
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
    /// By the program, with this reason.
    Stopped(String),
}

/// What the watch and the phase tell each other.
pub(super) struct Watch {
    ended: OnceLock<Ended>,
    /// Who was first: the program that stops the phase, or the close that is sent.
    first: AtomicU8,
    closing: mpsc::Sender<()>,
}

impl Watch {
    /// Why the phase was ended, if it was.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended.get().cloned()
    }

    /// The close is about to be sent, unless the program has stopped the phase: then this returns false. From here
    /// on it is cancelled before it is ended, since a cancelled close has a certain answer.
    #[must_use]
    pub(super) fn closes(&self) -> bool {
        // Without a watcher there is nobody to tell.
        let _ = self.closing.send(());
        is_first(&self.first, CLOSES)
    }
}

/// Performs `phase` under watch. The connector is the watcher's meanwhile.
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
        // Dropped however `phase` ends, which is what ends the watcher.
        let _done = done;
        let (ended, first) = (&watch.ended, &watch.first);
        let keep = move || watch_over(connector, watched, ended, first, &heard, &is_done);
        // Without it the server's own timeouts still hold.
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
    // Once the close is sent, the program cannot stop it any more.
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
    // Set once, here.
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
