use std::collections::HashSet;
use std::path::Path;

use ssh_key::public::KeyData;

use super::key::{self, UnfitKey};
use crate::base::files::{self, ReadFileError};

/// The greatest size of the file, in bytes; a larger one is refused unread.
const LARGEST: usize = 1024 * 1024;

/// Revoked keys: a list of public keys, one on each line, as `ssh-keygen -Y verify -r` takes it.
///
/// Fingerprints are refused, because `ssh-keygen -Y verify` refuses them too and every evidence must be verifiable
/// with it. A binary key revocation list is also refused, although `ssh-keygen` takes it.
#[derive(Debug, Clone)]
pub struct RevokedKeys {
    text: String,
    fingerprints: HashSet<String>,
}

/// Why a file of revoked keys was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokedKeysError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The file is larger than allowed.
    #[error("the revoked keys are refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// The size of the file, in bytes.
        size: usize,
    },
    /// The file is binary: a key revocation list.
    #[error("the revoked keys are refused: the file is a binary key revocation list")]
    Binary,
    /// The file is not UTF-8 text.
    #[error("the revoked keys are refused: the file is not UTF-8")]
    NotText,
    /// A line is a fingerprint.
    #[error(
        "the revoked keys are refused: line {line} is a fingerprint, at which `ssh-keygen -Y verify -r` gives up"
    )]
    Fingerprint {
        /// The line's number, counted from 1.
        line: usize,
    },
    /// A line is not a key.
    #[error("the revoked keys are refused: line {line} is no public key: {flaw}")]
    Line {
        /// The line's number, counted from 1.
        line: usize,
        /// What is wrong with the line.
        flaw: UnfitKey,
    },
}

impl RevokedKeysError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RevokedKeysError::File(error) => error.code(),
            RevokedKeysError::TooLarge { .. } => "revoked_keys_too_large",
            RevokedKeysError::Binary => "revoked_keys_binary",
            RevokedKeysError::NotText => "revoked_keys_not_text",
            RevokedKeysError::Fingerprint { .. } => "revoked_keys_fingerprint",
            RevokedKeysError::Line { .. } => "revoked_keys_line",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            RevokedKeysError::File(error) => return error.hint(),
            RevokedKeysError::Binary => "Make a list of the public keys, one on each line.",
            RevokedKeysError::Fingerprint { .. } => "Put the public key itself there.",
            RevokedKeysError::Line { flaw, .. } => return flaw.hint(),
            RevokedKeysError::TooLarge { .. } | RevokedKeysError::NotText => return None,
        };
        Some(hint.to_owned())
    }
}

impl RevokedKeys {
    /// Parses the text of such a file. A text without a key revokes none.
    ///
    /// # Errors
    ///
    /// Returns the first line that is refused, and why.
    pub fn parse(text: &str) -> Result<Self, RevokedKeysError> {
        if text.len() > LARGEST {
            return Err(RevokedKeysError::TooLarge { size: text.len() });
        }
        if text.starts_with("SSHKRL\n") {
            return Err(RevokedKeysError::Binary);
        }
        let mut fingerprints = HashSet::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            if first.starts_with("SHA256:") || first.starts_with("MD5:") {
                return Err(RevokedKeysError::Fingerprint { line: number });
            }
            match key::read(first, words.next().unwrap_or_default()) {
                Ok(key) => drop(fingerprints.insert(key::fingerprint(&key))),
                // A key of this length is refused here in any case, revoked or not.
                Err(UnfitKey::ShortRsa { .. } | UnfitKey::LongRsa { .. }) => {}
                Err(flaw) => return Err(RevokedKeysError::Line { line: number, flaw }),
            }
        }
        Ok(RevokedKeys {
            text: text.to_owned(),
            fingerprints,
        })
    }

    /// Reads such a file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system refuses an operation, or as [`parse`](RevokedKeys::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RevokedKeysError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        if bytes.starts_with(b"SSHKRL\n") {
            return Err(RevokedKeysError::Binary);
        }
        let text = String::from_utf8(bytes).map_err(|_| RevokedKeysError::NotText)?;
        RevokedKeys::parse(&text)
    }

    /// Returns the text of the file, unchanged.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn has(&self, key: &KeyData) -> bool {
        self.fingerprints.contains(&key::fingerprint(key))
    }
}
