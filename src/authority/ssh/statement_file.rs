use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::moment;
use super::printable::{self, NotPlain};
use crate::authority::Gate;
use crate::authority::{ApprovalStatement, Decision};
use crate::base::canonical;
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::Printable;
use crate::plan::{Plan, Target};

const SCHEMA: &str = "phasegate/statement/1";

/// The greatest size of a statement's file, in bytes; a larger one is refused unread.
pub(super) const LARGEST: usize = 64 * 1024;

const LONGEST_COMMENT: usize = 2000;

/// The members of a statement's file, in order.
const MEMBERS: [&str; 9] = [
    "comment",
    "decision",
    "expires",
    "gate",
    "nonce",
    "plan",
    "schema",
    "target",
    "valid_from",
];

/// Why a text is not a statement, or a statement cannot be made. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseApprovalError {
    /// The text is empty.
    #[error("the statement is refused: it is empty")]
    Empty,
    /// The text is larger than any statement.
    #[error("the statement is refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// The size of the text, in bytes.
        size: usize,
    },
    /// The text is not the JSON of a statement: it is truncated, or a member has another type.
    #[error("the statement is refused: it is not a statement of `{SCHEMA}`: {}", Printable(&.0.to_string()))]
    Malformed(serde_json::Error),
    /// The statement has another version.
    #[error("the statement is refused: its schema is `{found}`, and this release knows `{SCHEMA}`", found = Printable(.found))]
    UnknownSchema {
        /// The schema in the statement.
        found: String,
    },
    /// The statement has an unknown member.
    #[error("the statement is refused: it has a member `{member}`, which no statement has", member = Printable(.member))]
    UnknownMember {
        /// The name of the member.
        member: String,
    },
    /// The statement has a member twice.
    #[error("the statement is refused: it has the member `{member}` twice", member = Printable(.member))]
    Twice {
        /// The name of the member.
        member: String,
    },
    /// The statement is valid, but not written in canonical JSON.
    #[error("the statement is refused: it is not in canonical JSON")]
    NotCanonical,
    /// The statement has a text that is not printable.
    #[error("the statement is refused: its {member} {flaw}", member = Printable(.member))]
    NotPlain {
        /// The name of the member.
        member: &'static str,
        /// What is wrong with the text.
        flaw: NotPlain,
    },
    /// A time is not in RFC 3339, in UTC, to the second.
    #[error("the statement is refused: {member} is not a moment like 2026-11-23T07:09:19Z", member = Printable(.member))]
    Moment {
        /// The name of the member.
        member: &'static str,
    },
    /// The statement expires before it becomes valid, or has no expiry.
    #[error("the statement is refused: it expires before it begins")]
    NoLife,
    /// No phase of the plan is behind this gate.
    #[error("the statement is refused: no phase of the plan is behind gate `{gate}`", gate = Printable(.gate))]
    NoSuchGate {
        /// The name of the gate.
        gate: String,
    },
    /// The file could not be read, or not written.
    #[error(transparent)]
    File(#[from] ReadFileError),
}

impl ParseApprovalError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ParseApprovalError::Empty => "statement_empty",
            ParseApprovalError::TooLarge { .. } => "statement_too_large",
            ParseApprovalError::Malformed(_) => "statement_malformed",
            ParseApprovalError::UnknownSchema { .. } => "statement_unknown_schema",
            ParseApprovalError::UnknownMember { .. } => "statement_unknown_member",
            ParseApprovalError::Twice { .. } => "statement_member_twice",
            ParseApprovalError::NotCanonical => "statement_not_canonical",
            ParseApprovalError::NotPlain { .. } => "statement_not_printable",
            ParseApprovalError::Moment { .. } => "statement_moment",
            ParseApprovalError::NoLife => "statement_no_life",
            ParseApprovalError::NoSuchGate { .. } => "statement_no_such_gate",
            ParseApprovalError::File(error) => error.code(),
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ParseApprovalError::Empty => "Write the file again: `ApprovalStatement::save`.",
            ParseApprovalError::UnknownSchema { .. } => {
                "Make the statement with this release: `ApprovalStatement::for_gate`."
            }
            ParseApprovalError::NotCanonical => "Sign the file as it was written.",
            ParseApprovalError::NoLife => {
                "Give it a lifetime: `ApprovalStatementBuilder::lasting`."
            }
            ParseApprovalError::NoSuchGate { .. } => "Name a gate of the plan.",
            ParseApprovalError::File(error) => return error.hint(),
            ParseApprovalError::TooLarge { .. }
            | ParseApprovalError::Malformed(_)
            | ParseApprovalError::UnknownMember { .. }
            | ParseApprovalError::Twice { .. }
            | ParseApprovalError::NotPlain { .. }
            | ParseApprovalError::Moment { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// The content of the file, in the order of its members.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    comment: String,
    decision: Decision,
    expires: String,
    gate: String,
    nonce: String,
    plan: Digest,
    schema: String,
    target: Target,
    valid_from: String,
}

/// Builds an [`ApprovalStatement`].
#[derive(Debug, Clone)]
pub struct ApprovalStatementBuilder {
    statement: ApprovalStatement,
    known: bool,
}

impl ApprovalStatementBuilder {
    /// Makes the statement a rejection of the plan, for every gate. Without this call, it is an approval.
    #[must_use]
    pub fn rejecting(mut self) -> Self {
        self.statement.decision = Decision::Reject;
        self
    }

    /// Sets how long the statement is valid, from when it becomes valid.
    #[must_use]
    pub fn lasting(mut self, lifetime: Duration) -> Self {
        let from = self.statement.valid_from;
        self.statement.expires = moment::whole_seconds(from.checked_add(lifetime).unwrap_or(from));
        self
    }

    /// Sets when the statement expires.
    #[must_use]
    pub fn until(mut self, expires: SystemTime) -> Self {
        self.statement.expires = moment::whole_seconds(expires);
        self
    }

    /// Sets when the statement becomes valid. The default is now.
    #[must_use]
    pub fn not_before(mut self, valid_from: SystemTime) -> Self {
        self.statement.valid_from = moment::whole_seconds(valid_from);
        self
    }

    /// Sets the signer's comment for other people.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.statement.comment = comment.into();
        self
    }

    /// Builds the statement.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan does not have the gate, if no expiry was set, or if a text is not printable.
    pub fn build(self) -> Result<ApprovalStatement, ParseApprovalError> {
        if !self.known {
            return Err(ParseApprovalError::NoSuchGate {
                gate: self.statement.gate,
            });
        }
        self.statement.bytes()?;
        Ok(self.statement)
    }
}

impl ApprovalStatement {
    /// Begins a statement about gate `G` of `plan`: an approval by default.
    ///
    /// ```
    /// use phasegate::{Plan, Sg1, approval::ApprovalStatement, ssh::ParseApprovalError};
    /// use std::time::Duration;
    ///
    /// fn to_be_signed(plan: &Plan) -> Result<ApprovalStatement, ParseApprovalError> {
    ///     ApprovalStatement::for_gate::<Sg1>(plan)
    ///         .lasting(Duration::from_secs(3600))
    ///         .comment("read all of it")
    ///         .build()
    /// }
    /// ```
    #[must_use]
    pub fn for_gate<G: Gate>(plan: &Plan) -> ApprovalStatementBuilder {
        ApprovalStatement::for_gate_named(G::NAME, plan)
    }

    /// As [`for_gate`](ApprovalStatement::for_gate), for a gate whose name is known only at run time.
    #[must_use]
    pub fn for_gate_named(gate: &str, plan: &Plan) -> ApprovalStatementBuilder {
        let now = moment::whole_seconds(SystemTime::now());
        let mut phases = plan.phases().iter();
        ApprovalStatementBuilder {
            known: phases.any(|phase| phase.gates().iter().any(|known| known == gate)),
            statement: ApprovalStatement {
                decision: Decision::Approve,
                gate: gate.to_owned(),
                plan: plan.digest(),
                target: plan.target().clone(),
                valid_from: now,
                expires: now,
                nonce: crate::base::secret::unique(),
                comment: String::new(),
            },
        }
    }

    /// Returns the bytes to sign: canonical JSON, without a final newline.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement has a value that is not allowed in a statement.
    pub fn bytes(&self) -> Result<Vec<u8>, ParseApprovalError> {
        self.refuse_unfit()?;
        let written = |member, moment| {
            moment::to_rfc3339(moment).ok_or(ParseApprovalError::Moment { member })
        };
        let bytes = canonical::encode(&File {
            comment: self.comment.clone(),
            decision: self.decision,
            expires: written("expires", self.expires)?,
            gate: self.gate.clone(),
            nonce: self.nonce.clone(),
            plan: self.plan,
            schema: SCHEMA.to_owned(),
            target: self.target.clone(),
            valid_from: written("valid_from", self.valid_from)?,
        });
        bytes.map_err(|_| ParseApprovalError::NotCanonical)
    }

    /// Reads the bytes that [`bytes`](ApprovalStatement::bytes) writes, in exactly that form. The result is not
    /// verified.
    ///
    /// # Errors
    ///
    /// Returns a [`ParseApprovalError`] if the bytes are not a statement.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseApprovalError> {
        if bytes.is_empty() {
            return Err(ParseApprovalError::Empty);
        }
        if bytes.len() > LARGEST {
            return Err(ParseApprovalError::TooLarge { size: bytes.len() });
        }
        let members: Members =
            serde_json::from_slice(bytes).map_err(ParseApprovalError::Malformed)?;
        members.refuse_others()?;
        let file: File = serde_json::from_slice(bytes).map_err(ParseApprovalError::Malformed)?;
        let read = |member, text: &str| {
            moment::from_rfc3339(text).ok_or(ParseApprovalError::Moment { member })
        };
        let statement = ApprovalStatement {
            decision: file.decision,
            gate: file.gate,
            plan: file.plan,
            target: file.target,
            valid_from: read("valid_from", &file.valid_from)?,
            expires: read("expires", &file.expires)?,
            nonce: file.nonce,
            comment: file.comment,
        };
        if statement.bytes()? != bytes {
            return Err(ParseApprovalError::NotCanonical);
        }
        Ok(statement)
    }

    /// Reads a statement from a file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// Returns a [`ParseApprovalError`] if the file cannot be read, or its content is not a statement.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ParseApprovalError> {
        ApprovalStatement::from_bytes(&files::read(path.as_ref(), LARGEST)?)
    }

    /// Writes the statement to a new file. `ssh-keygen -Y sign -n phasegate -f KEY FILE` signs it.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists already, or the operating system refuses an operation.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ParseApprovalError> {
        let path = path.as_ref();
        let bytes = self.bytes()?;
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        file.and_then(|mut file| file.write_all(&bytes))
            .map_err(|error| ReadFileError::NotWritten {
                path: path.to_owned(),
                error,
            })?;
        Ok(())
    }

    fn refuse_unfit(&self) -> Result<(), ParseApprovalError> {
        let unfit = |member| move |flaw| ParseApprovalError::NotPlain { member, flaw };
        printable::name(&self.gate).map_err(unfit("gate"))?;
        printable::name(&self.nonce).map_err(unfit("nonce"))?;
        printable::name(self.target.database()).map_err(unfit("database"))?;
        printable::name(self.target.role()).map_err(unfit("role"))?;
        printable::name(self.target.system_identifier()).map_err(unfit("system identifier"))?;
        printable::of_at_most(LONGEST_COMMENT, &self.comment).map_err(unfit("comment"))?;
        if moment::whole_seconds(self.expires) <= self.valid_from {
            return Err(ParseApprovalError::NoLife);
        }
        Ok(())
    }
}

/// The names of the members of an object, each as often as it occurs, and the schema.
#[derive(Default)]
struct Members {
    names: Vec<String>,
    schema: Option<String>,
}

impl Members {
    fn refuse_others(self) -> Result<(), ParseApprovalError> {
        if let Some(found) = self.schema.filter(|schema| schema != SCHEMA) {
            return Err(ParseApprovalError::UnknownSchema { found });
        }
        let mut seen = Vec::new();
        for member in self.names {
            if !MEMBERS.contains(&&*member) {
                return Err(ParseApprovalError::UnknownMember { member });
            }
            if seen.contains(&member) {
                return Err(ParseApprovalError::Twice { member });
            }
            seen.push(member);
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "schema" && members.schema.is_none() {
                        members.schema = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                    members.names.push(name);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Object)
    }
}
