//! The statements that a phase sends, by their text.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;

/// The most statements of one phase whose texts stand in a plan; of those after them it has the digests.
const MOST_TEXTS: usize = 64;

/// The most bytes of such texts.
const MOST_BYTES: usize = 64 * 1024;

/// The most different statements of one phase.
pub(super) const MOST_STATEMENTS: usize = 10_000;

/// The different statements that a phase has sent, in the order in which each was sent first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SentStatements {
    texts: Vec<Arc<str>>,
    bytes: usize,
    /// The statements whose texts are too many.
    rest: BTreeSet<Digest>,
}

impl SentStatements {
    pub(crate) fn record(&mut self, statement: &str) {
        if self.texts.iter().any(|text| **text == *statement) {
            return;
        }
        let bytes = self.bytes + statement.len();
        if self.rest.is_empty() && self.texts.len() < MOST_TEXTS && bytes <= MOST_BYTES {
            self.texts.push(statement.into());
            self.bytes = bytes;
        } else if self.rest.len() <= MOST_STATEMENTS {
            // One too many is kept, which the plan refuses.
            self.rest.insert(Digest::of(statement.as_bytes()));
        }
    }
}

/// The statements that a phase of a plan may send, and no others; `None` in their place means that they are not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlannedStatements {
    /// The places of their texts in the plan's list, counted from 1.
    listed: Vec<usize>,
    /// The digests of those whose texts are not in it, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by_digest: Vec<Digest>,
    #[serde(skip)]
    texts: Vec<Arc<str>>,
}

impl From<SentStatements> for PlannedStatements {
    fn from(sent: SentStatements) -> Self {
        PlannedStatements {
            listed: Vec::new(),
            by_digest: sent.rest.into_iter().collect(),
            texts: sent.texts,
        }
    }
}

impl PlannedStatements {
    pub(super) fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }

    pub(super) fn by_digest(&self) -> &[Digest] {
        &self.by_digest
    }

    pub(super) fn allow(&self, statement: &str) -> bool {
        self.texts.iter().any(|text| **text == *statement)
            || (!self.by_digest.is_empty()
                && self
                    .by_digest
                    .binary_search(&Digest::of(statement.as_bytes()))
                    .is_ok())
    }

    /// Enters the texts into the plan's list, where they are not in it yet.
    pub(super) fn list(&mut self, list: &mut StatementList) {
        self.listed = self.texts.iter().map(|text| list.place_of(text)).collect();
    }

    /// Takes the texts from the plan's list. Returns what is wrong with the places, if anything is: one that the list
    /// does not have, or one twice.
    pub(super) fn find(&mut self, list: &[Arc<str>]) -> Option<String> {
        let mut seen = BTreeSet::new();
        for &place in &self.listed {
            let text = place.checked_sub(1).and_then(|index| list.get(index));
            let Some(text) = text else {
                return Some(format!(
                    "it sends statement {place}, which the plan has not"
                ));
            };
            if !seen.insert(place) {
                return Some(format!("it names statement {place} twice"));
            }
            self.texts.push(Arc::clone(text));
        }
        let sorted = self.by_digest.windows(2).all(|pair| pair[0] < pair[1]);
        (!sorted).then(|| "the digests of its statements are not in order".to_owned())
    }

    pub(super) fn flaw(&self) -> Option<String> {
        let all = self.texts.len() + self.by_digest.len();
        (all > MOST_STATEMENTS).then(|| {
            format!("it sends more than {MOST_STATEMENTS} different statements; pass what differs as parameters")
        })
    }

    /// Returns the places of the texts in the plan's list, counted from 1.
    pub(super) fn places(&self) -> &[usize] {
        &self.listed
    }
}

/// The statements of a plan, each once, in the order in which its phases send them first.
#[derive(Debug, Default)]
pub(super) struct StatementList {
    texts: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
}

impl StatementList {
    fn place_of(&mut self, text: &Arc<str>) -> usize {
        *self.places.entry(Arc::clone(text)).or_insert_with(|| {
            self.texts.push(Arc::clone(text));
            self.texts.len()
        })
    }

    pub(super) fn into_texts(self) -> Vec<Arc<str>> {
        self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_is_kept_once_and_beyond_the_bound_by_digest() {
        let mut sent = SentStatements::default();
        for n in 0..MOST_TEXTS + 5 {
            for _ in 0..2 {
                sent.record(&format!("SELECT {n}"));
            }
        }
        let planned = PlannedStatements::from(sent);
        assert_eq!(
            (planned.texts.len(), planned.by_digest.len()),
            (MOST_TEXTS, 5)
        );
        assert!(planned.allow("SELECT 0"));
        assert!(planned.allow(&format!("SELECT {}", MOST_TEXTS + 4)));
        assert!(!planned.allow("SELECT -1"));
        assert_eq!(planned.flaw(), None);
    }

    #[test]
    fn a_long_text_is_kept_by_digest() {
        let long = "-".repeat(MOST_BYTES + 1);
        let mut sent = SentStatements::default();
        sent.record("SELECT 1");
        sent.record(&long);
        let planned = PlannedStatements::from(sent);
        assert_eq!((planned.texts.len(), planned.by_digest.len()), (1, 1));
        assert!(planned.allow(&long));
    }

    #[test]
    fn too_many_statements_are_a_flaw() {
        let mut sent = SentStatements::default();
        for n in 0..=MOST_STATEMENTS {
            sent.record(&format!("SELECT {n}"));
        }
        let flaw = PlannedStatements::from(sent).flaw().unwrap();
        assert!(flaw.contains("more than 10000"), "{flaw}");
    }
}
