//! A value compared with the canonical text that it should have, without writing its own.

use super::member::{key_at, key_order, members};
use super::writer::Sink;

/// Compares what is written with `expected`, which is canonical. It takes memory only for the members of objects that
/// are open and did not come in order.
pub(super) struct Comparison<'t> {
    expected: &'t [u8],
    /// The next byte to be compared.
    at: usize,
    differs: bool,
    open: Vec<Open>,
}

/// An object of the expected text whose end was not reached yet.
struct Open {
    start: usize,
    /// The members, from the first one on that came out of order.
    index: Option<Index>,
}

struct Index {
    /// Where each member begins, and whether it came already.
    members: Vec<(usize, bool)>,
    end: usize,
}

impl<'t> Comparison<'t> {
    pub(super) fn with(expected: &'t [u8]) -> Self {
        Comparison {
            expected,
            at: 0,
            differs: false,
            open: Vec::new(),
        }
    }

    /// Returns whether exactly the expected text was written.
    pub(super) fn is_equal(&self) -> bool {
        !self.differs && self.at == self.expected.len()
    }

    fn rest(&self) -> &'t [u8] {
        self.expected.get(self.at..).unwrap_or_default()
    }

    /// Returns whether a member that came out of order, or the object, may end here.
    fn is_at_an_end(&self) -> bool {
        matches!(self.rest().first(), Some(b',' | b'}'))
    }
}

impl Open {
    /// Marks the member of this key, and returns where it begins; `None` if the object has none, or it came already.
    fn take(&mut self, expected: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
        let index = self.index.get_or_insert_with(|| {
            let (starts, end) = members(expected, self.start);
            // Those before `at` came in order.
            let members = starts.into_iter().map(|start| (start, start < at));
            Index {
                members: members.collect(),
                end,
            }
        });
        let found = index
            .members
            .binary_search_by(|(start, _)| key_order(key_at(expected, *start), literal));
        let (start, came) = index.members.get_mut(found.ok()?)?;
        (!std::mem::replace(came, true)).then_some(*start)
    }
}

impl Sink for Comparison<'_> {
    fn write(&mut self, fragment: &[u8]) {
        self.differs |= !self.rest().starts_with(fragment);
        self.at += fragment.len();
    }

    fn begin_object(&mut self) {
        self.differs |= self.rest().first() != Some(&b'{');
        let start = self.at;
        self.open.push(Open { start, index: None });
    }

    fn key(&mut self, literal: &[u8]) {
        if self.differs {
            return;
        }
        let (expected, at) = (self.expected, self.at);
        let open = self.open.last().expect("a key is written in an object");
        let (is_first, is_indexed) = (open.start == at, open.index.is_some());
        if !is_first && !self.is_at_an_end() {
            self.differs = true;
            return;
        }
        let rest = self.rest().get(1..).unwrap_or_default();
        let found = if !is_indexed && rest.starts_with(literal) {
            Some(at)
        } else {
            let open = self.open.last_mut();
            open.and_then(|open| open.take(expected, at, literal))
        };
        match found {
            Some(start) => {
                self.at = start + 1;
                self.write(literal);
                self.write(b":");
            }
            None => self.differs = true,
        }
    }

    fn end_object(&mut self) -> Option<String> {
        let open = self.open.pop().expect("an object ends once");
        if open.start == self.at {
            self.write(b"{}");
        } else if let Some(index) = open.index {
            self.differs |= !self.is_at_an_end() || index.members.iter().any(|(_, came)| !came);
            self.at = index.end;
            self.write(b"}");
        } else {
            self.write(b"}");
        }
        // A member twice differs from every expected text.
        None
    }
}
