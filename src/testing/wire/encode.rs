//! Messages of the server, encoded.
//!
//! `postgres-protocol` encodes the messages of a client and decodes those of a server, and nothing in the other
//! direction; the fifteen messages that a fake server sends are written here.

use bytes::{BufMut, BytesMut};
use postgres::types::Type;

use super::refusal::SqlRefusal;

/// Bytes on their way to the client.
#[derive(Debug, Default)]
pub(super) struct Outgoing(BytesMut);

/// A column of a result.
pub(super) type Column = (String, Type);

impl Outgoing {
    fn message(&mut self, tag: u8, body: impl FnOnce(&mut BytesMut)) {
        self.0.put_u8(tag);
        let at = self.0.len();
        self.0.put_i32(0);
        body(&mut self.0);
        let length = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Takes the bytes.
    pub(super) fn take(&mut self) -> BytesMut {
        self.0.split()
    }

    /// Forgets the bytes, as a connection that is lost does.
    pub(super) fn discard(&mut self) {
        self.0.clear();
    }

    pub(super) fn authenticated(&mut self) {
        self.message(b'R', |out| out.put_i32(0));
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            text(out, name);
            text(out, value);
        });
    }

    pub(super) fn backend_key(&mut self, pid: i32) {
        self.message(b'K', |out| {
            out.put_i32(pid);
            out.put_i32(0);
        });
    }

    pub(super) fn ready(&mut self, status: u8) {
        self.message(b'Z', |out| out.put_u8(status));
    }

    pub(super) fn parse_complete(&mut self) {
        self.message(b'1', |_| ());
    }

    pub(super) fn bind_complete(&mut self) {
        self.message(b'2', |_| ());
    }

    pub(super) fn close_complete(&mut self) {
        self.message(b'3', |_| ());
    }

    pub(super) fn no_data(&mut self) {
        self.message(b'n', |_| ());
    }

    pub(super) fn empty_query(&mut self) {
        self.message(b'I', |_| ());
    }

    pub(super) fn parameters(&mut self, types: &[Type]) {
        self.message(b't', |out| {
            out.put_u16(count(types.len()));
            for ty in types {
                out.put_u32(ty.oid());
            }
        });
    }

    pub(super) fn columns(&mut self, columns: &[Column], binary: bool) {
        self.message(b'T', |out| {
            out.put_u16(count(columns.len()));
            for (name, ty) in columns {
                text(out, name);
                out.put_u32(0);
                out.put_u16(0);
                out.put_u32(ty.oid());
                out.put_i16(-1);
                out.put_i32(-1);
                out.put_u16(u16::from(binary));
            }
        });
    }

    pub(super) fn row(&mut self, values: &[Option<Vec<u8>>]) {
        self.message(b'D', |out| {
            out.put_u16(count(values.len()));
            for value in values {
                match value {
                    Some(value) => {
                        out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
                        out.put_slice(value);
                    }
                    None => out.put_i32(-1),
                }
            }
        });
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |out| text(out, tag));
    }

    pub(super) fn error(&mut self, refusal: &SqlRefusal) {
        self.message(b'E', |out| fields(out, "ERROR", refusal));
    }

    pub(super) fn warning(&mut self, refusal: &SqlRefusal) {
        self.message(b'N', |out| fields(out, "WARNING", refusal));
    }
}

fn fields(out: &mut BytesMut, severity: &str, refusal: &SqlRefusal) {
    let given = refusal.fields();
    let severity = [(b'S', severity), (b'V', severity)];
    for (tag, value) in severity.into_iter().chain(given) {
        out.put_u8(tag);
        text(out, value);
    }
    out.put_u8(0);
}

fn text(out: &mut BytesMut, value: &str) {
    // A zero byte ends a text.
    out.put_slice(value.replace('\0', " ").as_bytes());
    out.put_u8(0);
}

fn count(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
