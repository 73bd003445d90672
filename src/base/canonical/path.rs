//! The place in a value that is being serialized, and the first thing there that canonical JSON cannot carry.

use super::NotCanonical;

#[derive(Default)]
pub(super) struct Path {
    steps: Vec<Step>,
    /// The keys of all steps, one after the other.
    keys: String,
    refused: Option<(Vec<Place>, NotCanonical)>,
}

enum Step {
    Item(usize),
    /// The key is in `keys`, from here to where the next one begins.
    Member(usize),
}

/// A step that outlives the value. Places have the order of the canonical text, but for keys beyond U+D7FF.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Item(usize),
    Member(String),
}

impl Path {
    pub(super) fn push_items(&mut self) {
        self.steps.push(Step::Item(0));
    }

    pub(super) fn next_item(&mut self) {
        if let Some(Step::Item(index)) = self.steps.last_mut() {
            *index += 1;
        }
    }

    pub(super) fn push_member(&mut self) {
        self.steps.push(Step::Member(self.keys.len()));
    }

    pub(super) fn set_member(&mut self, key: &str) {
        if let Some(Step::Member(start)) = self.steps.last() {
            self.keys.truncate(*start);
            self.keys.push_str(key);
        }
    }

    pub(super) fn pop(&mut self) {
        if let Some(Step::Member(start)) = self.steps.pop() {
            self.keys.truncate(start);
        }
    }

    /// Keeps what is refused here, unless something is refused at an earlier place: a member that came twice before what is in it. `refused` gets the place as a JSON
    /// pointer.
    pub(super) fn refuse(&mut self, refused: impl FnOnce(String) -> NotCanonical) {
        let here = self.here();
        if self
            .refused
            .as_ref()
            .is_none_or(|(first, _)| here <= *first)
        {
            let pointer = here.iter().map(|step| match step {
                Place::Item(index) => format!("/{index}"),
                Place::Member(key) => format!("/{key}"),
            });
            let refused = refused(pointer.collect());
            self.refused = Some((here, refused));
        }
    }

    pub(super) fn into_refused(self) -> Option<NotCanonical> {
        self.refused.map(|(_, refused)| refused)
    }

    fn here(&self) -> Vec<Place> {
        let mut end = self.keys.len();
        let steps = self.steps.iter().rev().map(|step| match *step {
            Step::Item(index) => Place::Item(index),
            Step::Member(start) => {
                let key = self.keys[start..end].to_owned();
                end = start;
                Place::Member(key)
            }
        });
        let mut here: Vec<_> = steps.collect();
        here.reverse();
        here
    }
}
