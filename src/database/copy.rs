//! Bulk copies of rows, into and out of a phase.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use ::postgres::{CopyInWriter, CopyOutReader};

use super::statement::{SqlError, refuse_unless_copy};
use super::traces::Traces;
use super::tx::PhaseTx;
use crate::kill_switch::KillSwitch;
use crate::outcome::Failure;

/// The number of bytes after which the kill switch is read again.
const BYTES_BETWEEN_READINGS: usize = 4 << 20;

impl PhaseTx<'_> {
    /// Performs `COPY .. FROM STDIN` with the bytes that `write` writes, in the format that the statement names, and
    /// returns how many rows were copied.
    ///
    /// The kill switch is read again after every 4 MiB. A failure names the line at which it occurred, from the
    /// server's message in English. The phase is rolled back, as after any statement that failed.
    ///
    /// The server waits for a client that is frozen (stopped, or swapped out), and keeps its locks for that time: no
    /// timeout of PostgreSQL 15 and 16 bounds the wait. Such a client commits nothing;
    /// [`Operator::switch_off`](crate::operator::Operator::switch_off) ends its session.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// fn fill(tx: &mut phasegate::PhaseTx<'_>, names: &[&str]) -> Result<u64, phasegate::Failure> {
    ///     tx.copy_in("COPY item (name) FROM STDIN (FORMAT csv)", |copy| {
    ///         for name in names {
    ///             writeln!(copy, "\"{}\"", name.replace('"', "\"\""))?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the server's error, the failure of `write` (nothing is copied then), an error if the kill switch
    /// stopped the phase, or one if the statement is not `COPY`.
    pub fn copy_in(
        &mut self,
        sql: &str,
        write: impl FnOnce(&mut CopyIn<'_>) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        refuse_unless_copy(sql)?;
        self.may_send(sql, &[])?;
        let PhaseTx {
            client,
            traces,
            kill_switch,
            ..
        } = self;
        let writer = client
            .copy_in(sql)
            .map_err(|error| not_begun(traces, error))?;
        let mut copy = CopyIn {
            writer,
            kill_switch: *kill_switch,
            traces,
            unread: 0,
        };
        // Dropped unfinished, it makes the server fail the statement, and with it the transaction.
        if let Err(failure) = write(&mut copy) {
            let CopyIn { writer, traces, .. } = copy;
            drop(writer);
            let why = || format!("a copy was broken off: {failure}");
            traces.failed_statement.get_or_insert_with(why);
            return Err(failure);
        }
        let CopyIn { writer, traces, .. } = copy;
        Ok(writer.finish().map_err(|error| traces.note(error))?)
    }

    /// Performs `COPY .. TO STDOUT`, and lets `read` read the bytes that the server sends, in the format that the
    /// statement names. Bytes that `read` leaves are dropped.
    ///
    /// ```
    /// use std::io::BufRead;
    ///
    /// fn lines(tx: &mut phasegate::PhaseTx<'_>) -> Result<usize, phasegate::Failure> {
    ///     tx.copy_out("COPY (SELECT name FROM item ORDER BY name) TO STDOUT", |copy| Ok(copy.lines().count()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the server's error, the failure of `read`, or an error if the statement is not `COPY`.
    pub fn copy_out<T>(
        &mut self,
        sql: &str,
        read: impl FnOnce(&mut CopyOut<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        refuse_unless_copy(sql)?;
        self.may_send(sql, &[])?;
        let reader = self.client.copy_out(sql);
        let reader = reader.map_err(|error| not_begun(&mut self.traces, error))?;
        let mut copy = CopyOut {
            reader,
            failed: false,
        };
        let answer = read(&mut copy);
        match answer {
            // An error that `read` ignored leaves a failed transaction.
            Ok(_) if copy.failed => Err(SqlError::CopyBrokenOff.into()),
            answer => answer,
        }
    }
}

/// Returns the error. Where the statement copies in the other direction, the driver confuses the responses of later
/// statements: such a session is dropped, and the phase is rolled back.
fn not_begun(traces: &mut Traces, error: ::postgres::Error) -> SqlError {
    let is_servers = error.as_db_error().is_some();
    let noted = traces.note(error);
    if is_servers || traces.lost {
        return noted;
    }
    traces.lost = true;
    SqlError::CopyOtherWay
}

/// A writer whose bytes are copied into the database; see [`PhaseTx::copy_in`].
pub struct CopyIn<'c> {
    writer: CopyInWriter<'c>,
    kill_switch: &'c dyn KillSwitch,
    traces: &'c mut Traces,
    /// The number of bytes that were written since the kill switch was read.
    unread: usize,
}

impl Write for CopyIn<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unread >= BYTES_BETWEEN_READINGS {
            let on = self.traces.stop_unless_on(self.kill_switch);
            on.map_err(|off| io::Error::other(off.to_string()))?;
            self.unread = 0;
        }
        // Larger writes are split, or the switch would be read only after them.
        let most = BYTES_BETWEEN_READINGS - self.unread;
        let written = self.writer.write(&bytes[..bytes.len().min(most)])?;
        self.unread += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A reader of the bytes that the server sends; see [`PhaseTx::copy_out`].
pub struct CopyOut<'c> {
    reader: CopyOutReader<'c>,
    failed: bool,
}

impl Read for CopyOut<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into);
        self.failed |= read.is_err();
        read
    }
}

impl BufRead for CopyOut<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let failed = &mut self.failed;
        self.reader.fill_buf().inspect_err(|_| *failed = true)
    }

    fn consume(&mut self, read: usize) {
        self.reader.consume(read);
    }
}

impl fmt::Debug for CopyIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopyIn(..)")
    }
}

impl fmt::Debug for CopyOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopyOut(..)")
    }
}
