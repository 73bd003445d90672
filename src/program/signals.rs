//! What the signals to a program do: the first stops in order, each later one says what the program waits for, and one
//! more within two seconds ends it at once.

use std::time::{Duration, Instant};

use super::exit;
use crate::base::printable::Printable;
use crate::engine::StopHandle;

/// The time within which another signal ends the program.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The signals that a program has received.
pub(super) struct Signals {
    stop: StopHandle,
    /// When the program last said that another signal ends it.
    warned: Option<Instant>,
}

impl Signals {
    pub(super) fn new(stop: StopHandle) -> Self {
        Signals { stop, warned: None }
    }

    /// Returns what to say, and the exit code if the program ends at once.
    pub(super) fn received(&mut self, now: Instant) -> (String, Option<u8>) {
        let doing = self.stop.in_progress();
        let phase = doing
            .as_ref()
            .map(|(phase, _)| Printable(phase).to_string());
        let is_sent = doing.is_some_and(|(_, is_sent)| is_sent);
        let phase = phase.as_deref().unwrap_or("the phase");
        if self.stop.stopped().is_none() {
            self.stop.stop("a signal to the program");
            let line = if is_sent {
                format!(
                    "stopping: the commit of {phase} was sent, and is completed; no further phase begins"
                )
            } else {
                format!("stopping: {phase} is rolled back; no further phase begins")
            };
            return (line, None);
        }
        if self
            .warned
            .is_some_and(|at| now.duration_since(at) < AT_ONCE)
        {
            return if is_sent {
                let line = format!(
                    "ended at once: it is not known whether {phase} was committed; the same command, run again, resolves it"
                );
                (line, Some(exit::IN_DOUBT))
            } else {
                let line = format!("ended at once: the server rolls {phase} back");
                (line, Some(exit::STOPPED))
            };
        }
        self.warned = Some(now);
        let line = if is_sent {
            format!(
                "already stopping: waiting for the server's response to the commit of {phase}; another signal within 2 s ends the program without it"
            )
        } else {
            format!(
                "already stopping: waiting until {phase} is rolled back; another signal within 2 s ends the program at once, and the server rolls it back"
            )
        };
        (line, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_signal_ends_at_once_only_soon_after_the_second() {
        for (is_sent, code) in [(false, exit::STOPPED), (true, exit::IN_DOUBT)] {
            let stop = StopHandle::new();
            stop.performs(Some(("close\u{1b}[2J".to_owned(), is_sent)));
            let mut signals = Signals::new(stop.clone());
            let now = Instant::now();
            let (line, exit) = signals.received(now);
            assert!(line.starts_with("stopping") && exit.is_none(), "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
            assert!(stop.stopped().is_some());
            let (line, exit) = signals.received(now);
            assert!(
                line.starts_with("already stopping") && exit.is_none(),
                "{line}"
            );
            let (line, exit) = signals.received(now + AT_ONCE);
            assert!(
                line.starts_with("already stopping") && exit.is_none(),
                "{line}"
            );
            let (line, exit) = signals.received(now + AT_ONCE + AT_ONCE / 2);
            assert!(line.starts_with("ended at once"), "{line}");
            assert_eq!(exit, Some(code));
        }
    }
}
