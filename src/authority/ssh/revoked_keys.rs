use std::collections::HashSet;
use std::path::Path;

use ssh_key::public::KeyData;

use super::key::{self, UnfitKey};
use crate::base::files::{self, ReadFileError};

/// A larger file is refused unread.
const LARGEST: usize = 1024 * 1024;

/// Keys that count no more: a list of public keys, one on each line, as `ssh-keygen -Y verify -r` takes
/// it.
///
/// What that does not take is refused here too, so that it can be asked: fingerprints. And so is a
/// binary key revocation list, which it takes.
#[derive(Debug, Clone)]
pub struct RevokedKeys {
    text: String,
    fingerprints: HashSet<String>,
}

/// A file of revoked keys was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokedKeysError {
    /// It was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// It is larger than any such file is.
    #[error("the revoked keys are refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is binary.
    #[error("the revoked keys are refused: the file is a binary key revocation list")]
    Binary,
    /// It is not text.
    #[error("the revoked keys are refused: the file is not UTF-8")]
    NotText,
    /// A line is a fingerprint.
    #[error(
        "the revoked keys are refused: line {line} is a fingerprint, at which `ssh-keygen -Y verify -r` gives up"
    )]
    Fingerprint {
        /// Which, counted from 1.
        line: usize,
    },
    /// A line is no key.
    #[error("the revoked keys are refused: line {line} is no public key: {flaw}")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What is wrong with it.
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
    /// Reads the text of such a file; one without a key revokes none.
    ///
    /// # Errors
    ///
    /// The first line that is refused, and why.
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
                // It signs nothing here, revoked or not.
                Err(UnfitKey::ShortRsa { .. } | UnfitKey::LongRsa { .. }) => {}
                Err(flaw) => return Err(RevokedKeysError::Line { line: number, flaw }),
            }
        }
        Ok(RevokedKeys {
            text: text.to_owned(),
            fingerprints,
        })
    }

    /// Reads such a file; of one that is too large, no more than that is seen.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system refuses it, or as [`parse`](RevokedKeys::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RevokedKeysError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        if bytes.starts_with(b"SSHKRL\n") {
            return Err(RevokedKeysError::Binary);
        }
        let text = String::from_utf8(bytes).map_err(|_| RevokedKeysError::NotText)?;
        RevokedKeys::parse(&text)
    }

    /// The file as it was.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn has(&self, key: &KeyData) -> bool {
        self.fingerprints.contains(&key::fingerprint(key))
    }
}
