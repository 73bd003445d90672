//! The `application_name` of a session that performs a phase: which phase it is, and how far it has come. Any session of
//! the server can read it, and any session can set it: it is for people, and decides nothing.

use std::time::{Duration, Instant};

use crate::base::digest::Digest;

/// The server cuts a longer name.
const MOST_BYTES: usize = 63;

/// The least time between two publications of the progress.
const BETWEEN: Duration = Duration::from_secs(1);

/// Returns the name of an opened phase: `phasegate 869eeeda 1/2: closing/close_accounts`. What does not fit is cut, and
/// what is not printable ASCII is replaced by `?`, so that the part before the colon is always whole.
pub(crate) fn opened(plan: Digest, place: usize, of: usize, pipeline: &str, phase: &str) -> String {
    cut(&format!(
        "{}: {pipeline}/{phase}",
        instance(plan, place, of)
    ))
}

/// Returns the name of a phase in a rehearsal, which has no plan yet.
pub(crate) fn rehearsed(pipeline: &str, phase: &str) -> String {
    cut(&format!("phasegate rehearsal {pipeline}/{phase}"))
}

fn instance(plan: Digest, place: usize, of: usize) -> String {
    let digits: String = plan.to_string().chars().take(8).collect();
    format!("phasegate {digits} {place}/{of}")
}

fn cut(name: &str) -> String {
    let printable = |c: char| {
        if c == ' ' || c.is_ascii_graphic() {
            c
        } else {
            '?'
        }
    };
    name.chars().map(printable).take(MOST_BYTES).collect()
}

/// Publishes the progress of a phase in messages that are sent anyway, at most once a second.
#[derive(Debug)]
pub(crate) struct Publisher {
    /// The beginning of the name; `None` where nothing is published.
    instance: Option<String>,
    last: Instant,
}

impl Publisher {
    /// Returns the publisher of a phase whose session has its first name just now.
    pub(crate) fn of_phase(plan: Digest, place: usize, of: usize) -> Self {
        Publisher {
            instance: Some(instance(plan, place, of)),
            last: Instant::now(),
        }
    }

    /// Returns one that publishes nothing.
    pub(crate) fn silent() -> Self {
        Publisher {
            instance: None,
            last: Instant::now(),
        }
    }

    /// Returns the condition, for the `WHERE` of a query, that sets the name once, and is true; `None` if less than a
    /// second has passed since the last one.
    pub(super) fn condition(&mut self, done: u64, total: Option<u64>) -> Option<String> {
        let instance = self.instance.as_ref()?;
        if self.last.elapsed() < BETWEEN {
            return None;
        }
        self.last = Instant::now();
        let of = total.map(|total| format!("/{total}")).unwrap_or_default();
        // Digits, spaces and slashes only, so that nothing needs to be quoted.
        let name = cut(&format!("{instance} {done}{of}"));
        Some(format!(
            "(SELECT pg_catalog.set_config('application_name', '{name}', true)) IS NOT NULL"
        ))
    }
}

/// Returns the rows that are done, and their number if it is known, from a name that a [`Publisher`] has set for this
/// phase; `None` from any other.
#[cfg(feature = "program")]
pub(crate) fn published(
    name: &str,
    plan: Digest,
    place: usize,
    of: usize,
) -> Option<(u64, Option<u64>)> {
    let rows = name
        .strip_prefix(&instance(plan, place, of))?
        .strip_prefix(' ')?;
    match rows.split_once('/') {
        Some((done, total)) => Some((done.parse().ok()?, Some(total.parse().ok()?))),
        None => Some((rows.parse().ok()?, None)),
    }
}

#[cfg(all(test, feature = "program"))]
mod tests {
    use super::*;

    fn plan() -> Digest {
        Digest::of(b"a plan")
    }

    #[test]
    fn a_name_is_short_and_printable_whatever_the_phase_is_called() {
        let hostile = [
            "x'); DROP TABLE t; --",
            "5/7",
            "é\u{202e}\0\n",
            &"long".repeat(100),
        ];
        for name in hostile {
            for opened in [opened(plan(), 1, 2, name, name), rehearsed(name, name)] {
                assert!(opened.len() <= MOST_BYTES, "{opened}");
                assert!(
                    opened.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
                    "{opened}"
                );
                assert_eq!(published(&opened, plan(), 1, 2), None, "{opened}");
            }
            assert!(opened(plan(), 1, 2, name, name).starts_with(&instance(plan(), 1, 2)));
        }
    }

    #[test]
    fn what_is_published_is_read_back_for_the_same_phase_only() {
        let mut publisher = Publisher::of_phase(plan(), 1, 2);
        assert_eq!(
            publisher.condition(1, None),
            None,
            "within the first second"
        );
        for (done, total) in [
            (0, None),
            (12_400, Some(883_000)),
            (u64::MAX, Some(u64::MAX)),
        ] {
            publisher.last = Instant::now().checked_sub(BETWEEN).unwrap();
            let condition = publisher.condition(done, total).unwrap();
            let name = condition.split('\'').nth(3).unwrap();
            assert!(name.len() <= MOST_BYTES, "{name}");
            assert_eq!(published(name, plan(), 2, 2), None);
            assert_eq!(published(name, Digest::of(b"another"), 1, 2), None);
            if done < u64::MAX {
                assert_eq!(published(name, plan(), 1, 2), Some((done, total)));
            }
        }
        assert_eq!(Publisher::silent().condition(1, None), None);
    }
}
