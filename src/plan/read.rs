//! Reading a plan back, from bytes of an unknown writer.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::{Content, Plan, SCHEMA};
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::{Printable, first_unprintable};

/// A saved plan that is larger than this is refused unread.
const LARGEST: usize = 16 * 1024 * 1024;

/// What every version of the form has, and what is read first.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

/// A saved plan was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Its file was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// It is larger than any plan is.
    #[error("the plan is refused unread: it has more than {LARGEST} bytes, which no plan has")]
    TooLarge,
    /// It is not the plan that was approved.
    #[error("the plan is refused: its digest is {found}, and {approved} was approved")]
    NotApproved {
        /// The digest that was approved.
        approved: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// It ends in the middle.
    #[error("the plan is refused: it is cut off after {length} bytes")]
    Truncated {
        /// How many bytes there are.
        length: usize,
    },
    /// It is not a plan.
    #[error("the plan is refused: it is not a plan of `{SCHEMA}`: {}", Printable(&.0.to_string()))]
    Malformed(serde_json::Error),
    /// It is a plan of another version.
    #[error("the plan is refused: its schema is {found:?}, and this release knows `{SCHEMA}`")]
    UnknownSchema {
        /// The schema that it names, or how that begins.
        found: String,
    },
    /// It says what a plan says, but not in canonical JSON: a member twice, another order, white
    /// space, a number in another form. So `sha256sum` of it would mean nothing.
    #[error("the plan is refused: it is not in canonical JSON")]
    NotCanonical,
    /// It says something that no dry run says: no phase, two of one name, a text that is not what it
    /// looks like, a table without its schema.
    #[error("the plan is refused: {}", Printable(.0))]
    Flawed(String),
}

impl PlanError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PlanError::File(error) => error.code(),
            PlanError::TooLarge => "saved_plan_too_large",
            PlanError::NotApproved { .. } => "saved_plan_not_approved",
            PlanError::Truncated { .. } => "saved_plan_truncated",
            PlanError::Malformed(_) => "saved_plan_malformed",
            PlanError::UnknownSchema { .. } => "saved_plan_unknown_schema",
            PlanError::NotCanonical => "saved_plan_not_canonical",
            PlanError::Flawed(_) => "saved_plan_flawed",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PlanError::File(error) => return error.hint(),
            PlanError::NotApproved { .. } => {
                "Show this plan to the approvers, or run the one that they saw."
            }
            PlanError::Truncated { .. } => "Copy the whole file again.",
            PlanError::UnknownSchema { .. } => {
                "Make the plan with this release, or run it with the release that made it."
            }
            PlanError::NotCanonical => "Save `Plan::bytes` unchanged.",
            PlanError::TooLarge | PlanError::Malformed(_) | PlanError::Flawed(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Plan {
    /// A plan that was saved, if its digest is the approved one.
    ///
    /// `approved` must come from the approvers, by another way than the file itself: computing
    /// it from the bytes just read approves whatever they say.
    ///
    /// # Errors
    ///
    /// A [`PlanError`] that says which check refused it. The digest is compared before the bytes
    /// are parsed.
    pub fn from_saved(bytes: &[u8], approved: Digest) -> Result<Self, PlanError> {
        if bytes.len() > LARGEST {
            return Err(PlanError::TooLarge);
        }
        let found = Digest::of(bytes);
        if found != approved {
            return Err(PlanError::NotApproved { approved, found });
        }
        let malformed = |error: serde_json::Error| {
            if error.is_eof() {
                let length = bytes.len();
                PlanError::Truncated { length }
            } else {
                PlanError::Malformed(error)
            }
        };
        let Version { schema } = serde_json::from_slice(bytes).map_err(malformed)?;
        if schema != SCHEMA {
            let found = schema.chars().take(80).collect();
            return Err(PlanError::UnknownSchema { found });
        }
        let content: Content = serde_json::from_slice(bytes).map_err(malformed)?;
        if let Some(flaw) = content.flaw() {
            return Err(PlanError::Flawed(flaw));
        }
        let plan = Plan::seal(content).map_err(|_| PlanError::NotCanonical)?;
        if plan.bytes != bytes {
            return Err(PlanError::NotCanonical);
        }
        Ok(plan)
    }

    /// As [`from_saved`](Plan::from_saved), from a regular file, of which no more is read than a plan
    /// has.
    ///
    /// # Errors
    ///
    /// As [`from_saved`](Plan::from_saved), and when the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>, approved: Digest) -> Result<Self, PlanError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        Plan::from_saved(&bytes, approved)
    }
}

impl Content {
    /// What is wrong with it although its form is right, if anything is.
    pub(super) fn flaw(&self) -> Option<String> {
        let people = [&self.author, &self.last_editor].into_iter().flatten();
        let target = [
            self.target.system_identifier(),
            self.target.database(),
            self.target.role(),
        ];
        let texts = target
            .into_iter()
            .chain([self.pipeline.as_str()])
            .chain(people.map(String::as_str));
        for text in texts {
            if let Some(character) = first_unprintable(text) {
                return Some(format!(
                    "{text:?} has a character that people would not see as it is: {character:?}"
                ));
            }
        }
        if self.phases.is_empty() {
            return Some("it has no phase".to_owned());
        }
        let mut names = BTreeSet::new();
        self.phases.iter().find_map(|phase| {
            if let Some(after) = phase
                .after()
                .iter()
                .find(|after| !names.contains(after.as_str()))
            {
                Some(format!(
                    "phase `{}` comes after `{}`, and no phase before it is called so",
                    phase.name().escape_debug(),
                    after.escape_debug()
                ))
            } else if names.insert(phase.name()) {
                let flaw = phase.flaw()?;
                Some(format!("phase `{}`: {flaw}", phase.name().escape_debug()))
            } else {
                Some(format!("it has phase `{}` twice", phase.name()))
            }
        })
    }
}
