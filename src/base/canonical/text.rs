//! Canonical text that is being written, whose members are put in order in place.

use std::cmp::Ordering;
use std::ops::Range;

use super::member::{key_at, key_order, key_text, members};
use super::writer::Sink;

/// The memory that putting an object in order always may take, in bytes; beyond, it takes a quarter of the object.
const SPARE: usize = 16 * 1024;

/// Writes canonical text. Members of an object that came in order, which is the common case, stay where they are.
#[derive(Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    open: Vec<Open>,
}

/// An object whose end is not written yet.
struct Open {
    start: usize,
    /// The literal of the last key; empty before the first.
    last_key: Range<usize>,
    in_order: bool,
}

impl Text {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Sink for Text {
    fn write(&mut self, fragment: &[u8]) {
        self.bytes.extend_from_slice(fragment);
    }

    fn begin_object(&mut self) {
        self.open.push(Open {
            start: self.bytes.len(),
            last_key: 0..0,
            in_order: true,
        });
    }

    fn key(&mut self, literal: &[u8]) {
        let open = self.open.last_mut().expect("a key is written in an object");
        let last = &self.bytes[open.last_key.clone()];
        if last.is_empty() {
            self.bytes.push(b'{');
        } else {
            open.in_order &= key_order(last, literal) == Ordering::Less;
            self.bytes.push(b',');
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(literal);
        open.last_key = start..self.bytes.len();
        self.bytes.push(b':');
    }

    fn end_object(&mut self) -> Option<String> {
        let open = self.open.pop().expect("an object ends once");
        let duplicate = if open.in_order {
            None
        } else {
            put_in_order(&mut self.bytes[open.start..])
        };
        if open.last_key.is_empty() {
            self.bytes.push(b'{');
        }
        self.bytes.push(b'}');
        duplicate
    }
}

/// Puts the members of an object in order. `text` begins with its `{` and ends before its `}`. Returns the first key
/// that it has twice.
fn put_in_order(text: &mut [u8]) -> Option<String> {
    let (mut starts, _) = members(text, 0);
    // By rank from here on: where the member of this rank begins.
    starts.sort_unstable_by(|&left, &right| key_order(key_at(text, left), key_at(text, right)));
    let duplicate = starts
        .windows(2)
        .find(|pair| key_at(text, pair[0]) == key_at(text, pair[1]));
    if let Some(pair) = duplicate {
        return Some(key_text(key_at(text, pair[0])));
    }
    let mut ranks: Vec<usize> = (0..starts.len()).collect();
    ranks.sort_unstable_by_key(|&rank| starts[rank]);
    let mut lengths = starts;
    for (place, &rank) in ranks.iter().enumerate() {
        let end = ranks
            .get(place + 1)
            .map_or(text.len(), |&next| lengths[next]);
        lengths[rank] = end - lengths[rank];
    }
    // A member begins with the mark before it, and only the first mark of an object is not a comma.
    text[0] = b',';
    arrange(text, ranks, &lengths);
    text[0] = b'{';
    None
}

/// Arranges the parts of `text` by rank. `ranks` has the rank of each part, in the order of the text; `lengths` has the
/// length of each, by rank. Moves groups of parts, as large as the spare memory, to the front.
fn arrange(text: &mut [u8], mut ranks: Vec<usize>, lengths: &[usize]) {
    let most = SPARE.max(text.len() / 4);
    let mut spare = Vec::new();
    let (mut first, mut front) = (0, 0);
    while first < lengths.len() {
        let mut offsets = vec![0];
        for length in &lengths[first..] {
            let end = offsets[offsets.len() - 1] + length;
            if end > most && offsets.len() > 1 {
                break;
            }
            offsets.push(end);
        }
        let group = first..first + offsets.len() - 1;
        let size = offsets[group.len()];
        if size > most {
            // One part that is larger than the spare memory.
            let before = ranks.iter().take_while(|&&rank| rank != first);
            let place = front + before.map(|&rank| lengths[rank]).sum::<usize>();
            text[front..place + size].rotate_right(size);
        } else {
            spare.resize(size, 0);
            let (mut read, mut write) = (text.len(), text.len());
            for &rank in ranks.iter().rev() {
                let part = read - lengths[rank]..read;
                read = part.start;
                if group.contains(&rank) {
                    let offset = offsets[rank - first];
                    spare[offset..offset + part.len()].copy_from_slice(&text[part]);
                } else {
                    write -= part.len();
                    if part.start != write {
                        text.copy_within(part, write);
                    }
                }
            }
            text[front..front + size].copy_from_slice(&spare);
        }
        ranks.retain(|rank| !group.contains(rank));
        front += size;
        first = group.end;
    }
}
