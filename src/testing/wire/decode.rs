//! Messages of the client, decoded.

use std::io::{self, Read};

/// The codes of a connection's first message.
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// The longest message that is read.
const LONGEST: usize = 1 << 26;

/// The first message of a connection.
#[derive(Debug)]
pub(super) enum Startup {
    /// Asks for encryption, and is followed by another first message.
    Encryption,
    /// Asks to cancel the statement of another session.
    Cancel,
    /// Begins a session of this role.
    Begin { role: String },
}

/// A message of a client.
#[derive(Debug)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        binary_params: Vec<bool>,
        params: Vec<Option<Vec<u8>>>,
        binary_results: Vec<bool>,
    },
    Describe {
        is_statement: bool,
        name: String,
    },
    Execute {
        portal: String,
        /// 0 if all rows are asked for.
        most_rows: u32,
    },
    Close {
        is_statement: bool,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    /// A message of `COPY`, a function call, or one that does not exist.
    Unknown(u8),
}

pub(super) fn startup(from: &mut impl Read) -> io::Result<Startup> {
    let body = body(from)?;
    let mut body = Body(&body);
    Ok(match body.u32()? {
        SSL | GSS => Startup::Encryption,
        CANCEL => Startup::Cancel,
        _ => {
            let mut role = String::new();
            loop {
                match body.text()?.as_str() {
                    "" => break,
                    "user" => role = body.text()?,
                    _ => drop(body.text()?),
                }
            }
            Startup::Begin { role }
        }
    })
}

pub(super) fn message(from: &mut impl Read) -> io::Result<Message> {
    let mut tag = [0];
    from.read_exact(&mut tag)?;
    let body = body(from)?;
    let mut body = Body(&body);
    Ok(match tag[0] {
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse {
            name: body.text()?,
            sql: body.text()?,
            types: body.list(Body::u32)?,
        },
        b'B' => Message::Bind {
            portal: body.text()?,
            statement: body.text()?,
            binary_params: body.list(Body::is_binary)?,
            params: body.list(Body::value)?,
            binary_results: body.list(Body::is_binary)?,
        },
        b'D' => Message::Describe {
            is_statement: body.u8()? == b'S',
            name: body.text()?,
        },
        b'E' => Message::Execute {
            portal: body.text()?,
            most_rows: body.u32()?,
        },
        b'C' => Message::Close {
            is_statement: body.u8()? == b'S',
            name: body.text()?,
        },
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        other => Message::Unknown(other),
    })
}

fn body(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = (u32::from_be_bytes(length) as usize).checked_sub(4);
    let length = length
        .filter(|length| *length <= LONGEST)
        .ok_or_else(malformed)?;
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a message of a client")
}

/// The rest of a message's body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn bytes(&mut self, length: usize) -> io::Result<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> io::Result<u8> {
        self.bytes(1)?.first().copied().ok_or_else(malformed)
    }

    fn u16(&mut self) -> io::Result<u16> {
        let bytes = self.bytes(2)?.try_into().map_err(|_| malformed())?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn u32(&mut self) -> io::Result<u32> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| malformed())?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn is_binary(&mut self) -> io::Result<bool> {
        Ok(self.u16()? == 1)
    }

    fn text(&mut self) -> io::Result<String> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(malformed)?;
        let text = std::str::from_utf8(self.bytes(end)?)
            .map_err(|_| malformed())?
            .to_owned();
        self.u8()?;
        Ok(text)
    }

    fn value(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.u32()? {
            u32::MAX => Ok(None),
            length => Ok(Some(self.bytes(length as usize)?.to_vec())),
        }
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let count = self.u16()?;
        (0..count).map(|_| one(self)).collect()
    }
}
