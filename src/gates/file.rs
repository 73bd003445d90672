//! The committed copy of a table, compared with the pipeline.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::GateTable;

/// Why the committed copy of a gate table was not compared, or does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatesFileError {
    /// The file differs from the table of the pipeline
    #[error("{}: stale from line {line} on: it is {found:?}, and the pipeline has {expected:?}", .path.display())]
    Stale {
        /// The path of the file.
        path: PathBuf,
        /// The first line that differs, counted from 1.
        line: usize,
        /// That line in the file; empty if the file ends before it.
        found: String,
        /// That line of the pipeline's table; empty if the table ends before it.
        expected: String,
    },
    /// The extension of the file is none of those that a table has a form for
    #[error("{}: a gate table has no form for this extension", .path.display())]
    UnknownFormat {
        /// The path of the file.
        path: PathBuf,
    },
    /// The operating system refused to read or write the file
    #[error("{}: not read or written", .path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl GatesFileError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            GatesFileError::Stale { .. } => "gates_stale",
            GatesFileError::UnknownFormat { .. } => "gates_unknown_format",
            GatesFileError::Io { .. } => "gates_file",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            GatesFileError::Stale { .. } => {
                "If the pipeline was meant to change, have the change reviewed, and run the test again with \
                 `PHASEGATE_RECORD=1`, which writes the file."
            }
            GatesFileError::UnknownFormat { .. } => "Use `.md`, `.json`, `.svg` or `.txt`.",
            GatesFileError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "Run the test with `PHASEGATE_RECORD=1`, which writes the file, and commit it."
            }
            GatesFileError::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl GateTable {
    /// Compares the table with its committed copy, whose form follows from the extension: `.md`, `.json`, `.svg` or `.txt`.
    /// If the environment has `PHASEGATE_RECORD=1`, the file is written instead.
    ///
    /// For tests. A relative path is relative to the crate, where cargo runs its tests.
    ///
    /// # Errors
    ///
    /// Returns an error if the file differs, with the first line that does; if it cannot be read or written; and if it has
    /// another extension.
    pub fn compare(&self, path: impl AsRef<Path>) -> Result<(), GatesFileError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let expected = match extension {
            Some("md") => self.markdown(),
            Some("json") => self.json(),
            Some("svg") => self.svg(),
            Some("txt") => self.to_string(),
            _ => {
                return Err(GatesFileError::UnknownFormat {
                    path: path.to_owned(),
                });
            }
        };
        let failed = |source| GatesFileError::Io {
            path: path.to_owned(),
            source,
        };
        if env::var_os("PHASEGATE_RECORD").is_some_and(|value| value == "1") {
            return fs::write(path, expected).map_err(failed);
        }
        let found = fs::read_to_string(path).map_err(failed)?;
        // A checkout may have other ends of lines.
        let (mut ours, mut theirs) = (expected.lines(), found.lines());
        let mut line = 0;
        loop {
            line += 1;
            let (our, their) = (ours.next(), theirs.next());
            if our.is_none() && their.is_none() {
                return Ok(());
            }
            if our != their {
                return Err(GatesFileError::Stale {
                    path: path.to_owned(),
                    line,
                    found: their.unwrap_or_default().to_owned(),
                    expected: our.unwrap_or_default().to_owned(),
                });
            }
        }
    }
}
