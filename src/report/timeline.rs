//! The places of phases on a line of time.

use std::time::SystemTime;

use serde::Serialize;

use super::model::Content;

/// A bar of one phase, in percent of the width.
#[derive(Debug, Serialize)]
pub(super) struct Bar {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) x: String,
    pub(super) width: String,
    /// The time that it took, or that it was not reached.
    pub(super) said: String,
    pub(super) committed: bool,
    /// The distance from the top, in pixels.
    pub(super) y: usize,
}

pub(super) const ROW: usize = 44;

/// Returns a bar for each phase, from the opening of the first to the end of the last.
pub(super) fn bars(content: &Content) -> Vec<Bar> {
    let spans: Vec<Option<(SystemTime, SystemTime)>> = (content.phases.iter())
        .map(|phase| {
            let committed = phase.committed.as_ref()?;
            Some((
                moment(&committed.opened_at)?,
                moment(&committed.finished_at)?,
            ))
        })
        .collect();
    let first = spans.iter().flatten().map(|span| span.0).min();
    let last = spans.iter().flatten().map(|span| span.1).max();
    let since = |from: SystemTime, to: SystemTime| {
        to.duration_since(from).unwrap_or_default().as_secs_f64()
    };
    let whole = match (first, last) {
        (Some(first), Some(last)) => since(first, last).max(1e-6),
        _ => 1.0,
    };
    let rows = content.phases.iter().zip(spans).enumerate();
    rows.map(|(n, (phase, span))| {
        let (x, width, said) = match (first, span) {
            (Some(first), Some((from, to))) => (
                since(first, from) / whole * 100.0,
                since(from, to) / whole * 100.0,
                took(since(from, to)),
            ),
            _ => (0.0, 0.0, "not reached".to_owned()),
        };
        Bar {
            place: phase.place,
            name: phase.name.clone(),
            x: format!("{:.2}%", x.clamp(0.0, 99.0)),
            width: format!("{:.2}%", width.clamp(1.0, 100.0)),
            said,
            committed: phase.committed.is_some(),
            y: n * ROW,
        }
    })
    .collect()
}

fn took(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

fn moment(text: &str) -> Option<SystemTime> {
    let text = text.replace("+00:00", "Z");
    humantime::parse_rfc3339(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_the_journal_is_read() {
        assert!(moment("2026-11-23T07:09:19.123456+00:00").is_some());
        assert!(moment("<script>").is_none());
    }

    #[test]
    fn a_time_is_shown_in_its_unit() {
        assert_eq!(took(0.0123), "12 ms");
        assert_eq!(took(12.34), "12.3 s");
        assert_eq!(took(600.0), "10 min");
    }
}
