//! The pieces of canonical text: numbers as ECMAScript prints them, few escapes, the marks of objects.

use std::fmt::Display;

use serde::ser::Error as _;
use serde_json::Error;

use super::NotCanonical;
use super::path::Path;

/// The greatest integer up to which a double has each one.
const EXACT: u64 = 1 << 53;

/// Where canonical text goes, piece by piece. Members come in the order of the value.
pub(super) trait Sink {
    /// Takes a piece of anything but an object's own marks and keys.
    fn write(&mut self, fragment: &[u8]);

    fn begin_object(&mut self);

    /// Takes the literal of a key, and the marks around it.
    fn key(&mut self, literal: &[u8]);

    /// Returns a key that came twice, if the object has one.
    fn end_object(&mut self) -> Option<String>;
}

/// Writes one value. A number that JSON would change, and a member that came twice, are errors when it has ended: of
/// several, the first in the order of the text counts.
pub(super) struct Writer<S> {
    pub(super) sink: S,
    pub(super) path: Path,
    scratch: Vec<u8>,
}

impl<S: Sink> Writer<S> {
    pub(super) fn new(sink: S) -> Self {
        Writer {
            sink,
            path: Path::default(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Result<S, NotCanonical> {
        match self.path.into_refused() {
            None => Ok(self.sink),
            Some(refused) => Err(refused),
        }
    }

    pub(super) fn begin_object(&mut self) {
        self.sink.begin_object();
        self.path.push_member();
    }

    pub(super) fn key(&mut self, key: &str) {
        self.path.set_member(key);
        self.scratch.clear();
        write_string(key, |piece| self.scratch.extend_from_slice(piece));
        self.sink.key(&self.scratch);
    }

    pub(super) fn end_object(&mut self) {
        if let Some(key) = self.sink.end_object() {
            self.path.set_member(&key);
            self.path.refuse(|path| NotCanonical::MemberTwice { path });
        }
        self.path.pop();
    }

    pub(super) fn double(&mut self, number: f64) {
        if number.is_finite() {
            let mut buffer = ryu_js::Buffer::new();
            self.sink.write(buffer.format_finite(number).as_bytes());
        } else {
            let number = number.to_string();
            self.path
                .refuse(|path| NotCanonical::NotFinite { path, number });
        }
    }

    /// Writes an integer, given its amount if that has 64 bits.
    #[allow(clippy::cast_precision_loss)] // an exact one has at most 53 bits
    pub(super) fn integer(&mut self, amount: Option<u64>, is_negative: bool, number: impl Display) {
        match amount.filter(|&amount| amount <= EXACT) {
            Some(amount) if is_negative => self.double(-(amount as f64)),
            Some(amount) => self.double(amount as f64),
            None => {
                let number = number.to_string();
                self.path
                    .refuse(|path| NotCanonical::Number { path, number });
            }
        }
    }

    /// Writes a number out of its text, as `serde_json` has it with its feature `arbitrary_precision`.
    pub(super) fn number_text(&mut self, text: &str) -> Result<(), Error> {
        if let Ok(number) = text.parse::<i128>() {
            let amount = u64::try_from(number.unsigned_abs()).ok();
            self.integer(amount, number < 0, number);
        } else if text.contains(['.', 'e', 'E']) {
            let number = text.parse();
            self.double(number.map_err(|_| Error::custom("invalid number"))?);
        } else {
            self.integer(None, false, text);
        }
        Ok(())
    }

    pub(super) fn in_variant(&mut self, variant: &str) {
        self.begin_object();
        self.key(variant);
    }
}

/// Passes the literal of a string to `write`, in pieces.
pub(super) fn write_string(text: &str, mut write: impl FnMut(&[u8])) {
    write(b"\"");
    let mut rest = text.as_bytes();
    let is_escaped = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    while let Some(length) = rest.iter().position(is_escaped) {
        let (plain, escaped) = rest.split_at(length);
        write(plain);
        let (byte, after) = (escaped[0], &escaped[1..]);
        rest = after;
        match byte {
            b'"' => write(b"\\\""),
            b'\\' => write(b"\\\\"),
            0x08 => write(b"\\b"),
            b'\t' => write(b"\\t"),
            b'\n' => write(b"\\n"),
            0x0c => write(b"\\f"),
            b'\r' => write(b"\\r"),
            control => {
                let digit = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
                write(&[
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    digit(control >> 4),
                    digit(control & 15),
                ]);
            }
        }
    }
    write(rest);
    write(b"\"");
}
