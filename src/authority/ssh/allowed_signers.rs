use std::collections::HashMap;
use std::path::Path;
use std::time::SystemTime;

use ssh_key::public::KeyData;

use super::key::{self, UnfitKey};
use super::moment::{self, NoMoment};
use super::printable::{self, NotPlain};
use super::{NAMESPACE, VerifyApprovalError};
use crate::base::files::{self, ReadFileError};
use crate::base::printable::Printable;

/// The greatest size of the file, in bytes; a larger one is refused unread.
const LARGEST: usize = 1024 * 1024;

/// The file of OpenSSH that names the owner of each key: `ALLOWED SIGNERS` in `ssh-keygen(1)`.
///
/// Each line names a person and a key: `ada@example.org namespaces="phasegate" ssh-ed25519 AAAA..`. Several names
/// before one key, and several lines with a name in common, are one person, who counts once; so are principals that
/// have a key in common.
///
/// | in the file | here |
/// |---|---|
/// | `namespaces="..."` | patterns, as OpenSSH reads them; without it, the key signs everything |
/// | `valid-after="..."`, `valid-before="..."` | `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, and a `Z`: without one it would be local time, and is refused |
/// | patterns as names (`*@example.org`) | refused: a policy counts people |
/// | `cert-authority`, certificates | refused |
/// | ed25519, ecdsa, rsa of 2048 to 4096 bits, hardware keys (`-sk`) | verified |
/// | dsa, rsa of another length, `webauthn-sk-..` | refused |
///
/// A file is refused if one line of it is.
#[derive(Debug, Clone)]
pub struct AllowedSigners {
    text: String,
    lines: Vec<Line>,
    /// The person of each name.
    people: HashMap<String, Person>,
}

/// A person, by number, under any of their names.
pub(super) type Person = usize;

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) principals: Vec<String>,
    pub(super) person: Person,
    key: KeyData,
    namespaces: Option<String>,
    valid_after: Option<SystemTime>,
    valid_before: Option<SystemTime>,
}

/// Why a file of allowed signers was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllowedSignersError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The file is larger than allowed.
    #[error("the allowed signers are refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// The size of the file, in bytes.
        size: usize,
    },
    /// The file is not UTF-8 text.
    #[error("the allowed signers are refused: the file is not UTF-8")]
    NotText,
    /// The file has no signer.
    #[error("the allowed signers are refused: the file names nobody")]
    Empty,
    /// A line is refused.
    #[error("the allowed signers are refused: line {line}: {flaw}")]
    Line {
        /// The line's number, counted from 1.
        line: usize,
        /// What is wrong with the line.
        flaw: SignerFlaw,
    },
}

/// What is wrong with a line of allowed signers. One variant for each reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerFlaw {
    /// The line has no key.
    #[error("it has no key")]
    NoKey,
    /// The key of the line cannot be used.
    #[error("its key is refused: {0}")]
    Key(UnfitKey),
    /// A name is a pattern.
    #[error("`{}` is a pattern, and not the name of a person", Printable(.0))]
    Pattern(String),
    /// A name is not printable.
    #[error("a name in it {0}")]
    Name(NotPlain),
    /// A name is in quotes.
    #[error("the names in it are in quotes")]
    QuotedName,
    /// The key is a certificate authority.
    #[error("it has `cert-authority`, and certificates are not verified here")]
    CertAuthority,
    /// The line has an unknown option.
    #[error("its option `{}` is not known", Printable(.0))]
    UnknownOption(String),
    /// The line has an option twice.
    #[error("it has the option `{}` twice", Printable(.0))]
    TwiceOption(String),
    /// The value of an option is not in quotes, or malformed.
    #[error("the value of its option `{}` is not text in double quotes", Printable(.0))]
    Unquoted(String),
    /// A time is in local time.
    #[error("`{option}` is in local time, which differs from machine to machine")]
    LocalTime {
        /// The name of the option.
        option: String,
    },
    /// The value is not a time.
    #[error("`{option}` is not a moment")]
    Moment {
        /// The name of the option.
        option: String,
    },
    /// The key expires before it becomes valid.
    #[error("its `valid-before` is not after its `valid-after`")]
    NeverValid,
}

impl AllowedSignersError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AllowedSignersError::File(error) => error.code(),
            AllowedSignersError::TooLarge { .. } => "allowed_signers_too_large",
            AllowedSignersError::NotText => "allowed_signers_not_text",
            AllowedSignersError::Empty => "allowed_signers_empty",
            AllowedSignersError::Line { .. } => "allowed_signers_line",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            AllowedSignersError::File(error) => error.hint(),
            AllowedSignersError::Empty => Some(A_LINE.to_owned()),
            AllowedSignersError::Line { flaw, .. } => flaw.hint(),
            AllowedSignersError::TooLarge { .. } | AllowedSignersError::NotText => None,
        }
    }
}

/// The remedy for a malformed line.
const A_LINE: &str = "Write a line for each key: `ada@example.org namespaces=\"phasegate\" ssh-ed25519 AAAA..`, with the key as in the file `.pub`.";

impl SignerFlaw {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SignerFlaw::NoKey => "signer_no_key",
            SignerFlaw::Key(_) => "signer_key",
            SignerFlaw::Pattern(_) => "signer_pattern",
            SignerFlaw::Name(_) => "signer_name",
            SignerFlaw::QuotedName => "signer_quoted_name",
            SignerFlaw::CertAuthority => "signer_cert_authority",
            SignerFlaw::UnknownOption(_) => "signer_unknown_option",
            SignerFlaw::TwiceOption(_) => "signer_option_twice",
            SignerFlaw::Unquoted(_) => "signer_option_unquoted",
            SignerFlaw::LocalTime { .. } => "signer_local_time",
            SignerFlaw::Moment { .. } => "signer_moment",
            SignerFlaw::NeverValid => "signer_never_valid",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SignerFlaw::NoKey => A_LINE,
            SignerFlaw::Key(flaw) => return flaw.hint(),
            SignerFlaw::Pattern(_) => "Write each name: a policy counts people.",
            SignerFlaw::QuotedName => "Write the names without quotes, and without spaces.",
            SignerFlaw::CertAuthority => "List the keys of people.",
            SignerFlaw::Unquoted(_) => "Write it as `namespaces=\"phasegate\"`.",
            SignerFlaw::LocalTime { .. } | SignerFlaw::Moment { .. } => {
                "Write it in UTC, with a `Z`: 20261123Z, 202611230709Z or 20261123070919Z."
            }
            SignerFlaw::Name(_)
            | SignerFlaw::UnknownOption(_)
            | SignerFlaw::TwiceOption(_)
            | SignerFlaw::NeverValid => return None,
        };
        Some(hint.to_owned())
    }
}

impl AllowedSigners {
    /// Parses the text of such a file.
    ///
    /// # Errors
    ///
    /// Returns the first line that is refused, and why.
    pub fn parse(text: &str) -> Result<Self, AllowedSignersError> {
        if text.len() > LARGEST {
            return Err(AllowedSignersError::TooLarge { size: text.len() });
        }
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            let line = line.trim_matches(BLANK);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = Line::parse(line);
            lines.push(line.map_err(|flaw| AllowedSignersError::Line { line: number, flaw })?);
        }
        if lines.is_empty() {
            return Err(AllowedSignersError::Empty);
        }
        let people = tell_apart(&mut lines);
        Ok(AllowedSigners {
            text: text.to_owned(),
            lines,
            people,
        })
    }

    /// Reads such a file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system refuses an operation, or as [`parse`](AllowedSigners::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, AllowedSignersError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        let text = String::from_utf8(bytes).map_err(|_| AllowedSignersError::NotText)?;
        AllowedSigners::parse(&text)
    }

    /// Returns the text of the file, unchanged.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the person of this name, if there is one.
    pub(super) fn person(&self, name: &str) -> Option<Person> {
        self.people.get(name).copied()
    }

    /// Returns the line that allows this key to sign approvals at this moment.
    pub(super) fn line_of(
        &self,
        key: &KeyData,
        now: SystemTime,
    ) -> Result<&Line, VerifyApprovalError> {
        let mut refused = None;
        for line in self.lines.iter().filter(|line| line.key == *key) {
            match line.refuse(now) {
                Ok(()) => return Ok(line),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        Err(refused.unwrap_or_else(|| VerifyApprovalError::UnknownKey {
            fingerprint: key::fingerprint(key),
        }))
    }
}

/// Assigns each line its person: lines with a name or a key in common belong to one person. Returns the person of each
/// name.
fn tell_apart(lines: &mut [Line]) -> HashMap<String, Person> {
    fn root(joined: &[Person], mut person: Person) -> Person {
        while joined[person] != person {
            person = joined[person];
        }
        person
    }
    let mut joined: Vec<Person> = (0..lines.len()).collect();
    let mut first: HashMap<String, Person> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        // Names have no spaces, so that a key's entry cannot equal a name.
        let key = format!(" {}", key::fingerprint(&line.key));
        for mark in line.principals.iter().cloned().chain([key]) {
            let other = *first.entry(mark).or_insert(at);
            let (one, other) = (root(&joined, at), root(&joined, other));
            joined[one.max(other)] = one.min(other);
        }
    }
    for (at, line) in lines.iter_mut().enumerate() {
        line.person = root(&joined, at);
    }
    first
        .into_iter()
        .map(|(mark, at)| (mark, root(&joined, at)))
        .collect()
}

const BLANK: [char; 3] = [' ', '\t', '\r'];

impl Line {
    fn parse(line: &str) -> Result<Self, SignerFlaw> {
        let (names, rest) = word(line);
        if names.contains('"') {
            return Err(SignerFlaw::QuotedName);
        }
        let principals: Vec<String> = names.split(',').map(str::to_owned).collect();
        for name in &principals {
            if name.contains(['*', '?', '!']) {
                return Err(SignerFlaw::Pattern(name.clone()));
            }
            printable::name(name).map_err(SignerFlaw::Name)?;
        }
        let (mut algorithm, mut rest) = word(rest);
        let mut options = Options::default();
        if !key::is_algorithm(algorithm) {
            options = Options::parse(algorithm)?;
            (algorithm, rest) = word(rest);
        }
        let (base64, _comment) = word(rest);
        if algorithm.is_empty() || base64.is_empty() {
            return Err(SignerFlaw::NoKey);
        }
        let key = key::read(algorithm, base64).map_err(SignerFlaw::Key)?;
        Ok(Line {
            principals,
            person: 0,
            key,
            namespaces: options.namespaces,
            valid_after: options.valid_after,
            valid_before: options.valid_before,
        })
    }

    fn refuse(&self, now: SystemTime) -> Result<(), VerifyApprovalError> {
        let who = || self.principals[0].clone();
        if let Some(patterns) = &self.namespaces
            && !matches_list(NAMESPACE, patterns)
        {
            return Err(VerifyApprovalError::NamespaceNotAllowed {
                who: who(),
                allowed: patterns.clone(),
            });
        }
        match (self.valid_after, self.valid_before) {
            (Some(from), _) if now < from => {
                Err(VerifyApprovalError::KeyNotYetValid { who: who(), from })
            }
            (_, Some(at)) if now > at => Err(VerifyApprovalError::KeyExpired { who: who(), at }),
            _ => Ok(()),
        }
    }
}

/// Splits a line into its first word, up to the first blank outside of quotes, and the rest.
fn word(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches(BLANK);
    let mut quoted = false;
    let end = line.find(|c| {
        quoted ^= c == '"';
        !quoted && BLANK.contains(&c)
    });
    line.split_at(end.unwrap_or(line.len()))
}

#[derive(Default)]
struct Options {
    namespaces: Option<String>,
    valid_after: Option<SystemTime>,
    valid_before: Option<SystemTime>,
}

impl Options {
    fn parse(text: &str) -> Result<Self, SignerFlaw> {
        let mut options = Options::default();
        let mut quoted = false;
        let each = text.split(|c| {
            quoted ^= c == '"';
            !quoted && c == ','
        });
        for option in each {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.to_ascii_lowercase(), Some(value)),
                None => (option.to_ascii_lowercase(), None),
            };
            let unquoted = || SignerFlaw::Unquoted(name.clone());
            let text = || {
                let value = value.and_then(|v| v.strip_prefix('"')?.strip_suffix('"'));
                value
                    .filter(|value| !value.contains(['"', '\\']) && !value.is_empty())
                    .ok_or_else(unquoted)
            };
            let moment = || {
                moment::from_openssh(text()?).map_err(|why| match why {
                    NoMoment::Local => SignerFlaw::LocalTime {
                        option: name.clone(),
                    },
                    NoMoment::Malformed => SignerFlaw::Moment {
                        option: name.clone(),
                    },
                })
            };
            let once = |there: bool| {
                if there {
                    Err(SignerFlaw::TwiceOption(name.clone()))
                } else {
                    Ok(())
                }
            };
            match &*name {
                "cert-authority" => return Err(SignerFlaw::CertAuthority),
                "namespaces" => {
                    once(options.namespaces.is_some())?;
                    options.namespaces = Some(text()?.to_owned());
                }
                "valid-after" => {
                    once(options.valid_after.is_some())?;
                    options.valid_after = Some(moment()?);
                }
                "valid-before" => {
                    once(options.valid_before.is_some())?;
                    options.valid_before = Some(moment()?);
                }
                _ if value.is_none() && !quoted_key_follows(&name) => {
                    return Err(SignerFlaw::NoKey);
                }
                _ => return Err(SignerFlaw::UnknownOption(name.clone())),
            }
        }
        if let (Some(after), Some(before)) = (options.valid_after, options.valid_before)
            && before <= after
        {
            return Err(SignerFlaw::NeverValid);
        }
        Ok(options)
    }
}

/// Returns whether a word looks like an option without a value, rather than like a mistyped key.
fn quoted_key_follows(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Returns whether one of the patterns matches, and none that begins with `!` does, as in OpenSSH.
fn matches_list(text: &str, patterns: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(text.as_bytes(), pattern.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(text.as_bytes(), pattern.as_bytes()),
        }
    }
    found
}

/// Matches a pattern: `*` stands for anything, `?` for one byte. Backtracks only to the last `*`, so that no pattern
/// takes long.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((at, of));
                of += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[at] => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((from, star_of)) => {
                    star = Some((from + 1, star_of));
                    (at, of) = (from + 1, star_of + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|&byte| byte == b'*')
}
