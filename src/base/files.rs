//! Reads files of an unknown author, up to a limit.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::base::printable::Printable;

/// Why a file was not read, or not written. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFileError {
    /// The operating system refused to read the file.
    #[error("{}: not read, {error}", Printable(&.path.to_string_lossy()))]
    NotRead {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The operating system refused to write the file.
    #[error("{}: not written, {error}", Printable(&.path.to_string_lossy()))]
    NotWritten {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The path is a directory, a device, a pipe, or the like.
    #[error("{}: not read, it is no regular file", Printable(&.path.to_string_lossy()))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is larger than allowed.
    #[error("{}: not read, it is larger than {limit} bytes", Printable(&.path.to_string_lossy()))]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The greatest size, in bytes.
        limit: usize,
    },
}

impl ReadFileError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ReadFileError::NotRead { .. } => "file_not_read",
            ReadFileError::NotWritten { .. } => "file_not_written",
            ReadFileError::NotAFile { .. } => "file_not_regular",
            ReadFileError::TooLarge { .. } => "file_too_large",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ReadFileError::NotWritten { error, .. }
                if error.kind() == io::ErrorKind::AlreadyExists =>
            {
                "Give another path: a file that is there is kept."
            }
            ReadFileError::NotAFile { .. } => "Give the path of a regular file.",
            ReadFileError::NotRead { .. }
            | ReadFileError::NotWritten { .. }
            | ReadFileError::TooLarge { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Returns the content of a file of at most `limit` bytes. A larger one is not read to its end.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>, ReadFileError> {
    let not_read = |error| ReadFileError::NotRead {
        path: path.to_owned(),
        error,
    };
    // Checked before opening: opening a pipe would block until another process writes to it.
    if !fs::metadata(path).map_err(not_read)?.is_file() {
        return Err(ReadFileError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(path).map_err(not_read)?;
    file.take(most)
        .read_to_end(&mut content)
        .map_err(not_read)?;
    if content.len() > limit {
        return Err(ReadFileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(content)
}
