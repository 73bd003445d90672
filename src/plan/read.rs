//! Reads a saved plan, from bytes of an unknown author.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::form::is_form_of;
use super::{Content, InspectedPlan, Plan, PlanMeans, ProgramIdentity, SCHEMA};
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::{Printable, first_unprintable};

/// The greatest size of a saved plan, in bytes; a larger one is refused unread.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// The greatest length of an occasion, in bytes.
const LONGEST_OCCASION: usize = 200;

/// The part that every version has, and that is read first.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

/// Why a saved plan was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The plan is larger than allowed.
    #[error("the plan is refused unread: it has more than {LARGEST} bytes, which no plan has")]
    TooLarge,
    /// The plan is not the approved one.
    #[error("the plan is refused: its digest is {found}, and {approved} was approved")]
    NotApproved {
        /// The digest that was approved.
        approved: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The plan is truncated.
    #[error("the plan is refused: it is cut off after {length} bytes")]
    Truncated {
        /// The number of bytes.
        length: usize,
    },
    /// The bytes are not a plan.
    #[error("the plan is refused: it is not a plan of `{SCHEMA}`: {}", Printable(&.0.to_string()))]
    Malformed(serde_json::Error),
    /// The plan has another version.
    #[error("the plan is refused: its schema is {found:?}, and this release knows `{SCHEMA}`")]
    UnknownSchema {
        /// The schema that the plan names, or the beginning of its name.
        found: String,
    },
    /// The plan is valid, but in neither of its two forms: it has a member twice, another order or indentation, or a
    /// number in another form. So two texts would be the same plan.
    #[error("the plan is refused: it is neither canonical JSON nor a plan as it is saved")]
    NotCanonical,
    /// The plan has a value that no dry run writes: no phase, two phases of one name, a text with invisible
    /// characters, a table without its schema.
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
            PlanError::NotCanonical => {
                "Save `Plan::saved` or `Plan::bytes` unchanged; a formatter may have changed the file."
            }
            PlanError::TooLarge | PlanError::Malformed(_) | PlanError::Flawed(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Plan {
    /// Reads a saved plan, if its digest is the approved one: the bytes of [`saved`](Plan::saved) or of
    /// [`bytes`](Plan::bytes).
    ///
    /// `approved` must come from the approvers, by another way than the file itself: a digest computed from the bytes
    /// just read approves any content.
    ///
    /// # Errors
    ///
    /// Returns a [`PlanError`] for the check that refused the plan.
    pub fn from_saved(bytes: &[u8], approved: Digest) -> Result<Self, PlanError> {
        let plan = Plan::read(bytes)?;
        if plan.digest != approved {
            let found = plan.digest;
            return Err(PlanError::NotApproved { approved, found });
        }
        Ok(plan)
    }

    /// As [`from_saved`](Plan::from_saved), from a regular file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// As [`from_saved`](Plan::from_saved), and if the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>, approved: Digest) -> Result<Self, PlanError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        Plan::from_saved(&bytes, approved)
    }

    /// Reads a plan that is not approved yet, to show it to people: what is returned can be displayed and compared, and
    /// no run accepts it.
    ///
    /// # Errors
    ///
    /// Returns a [`PlanError`] for the check that refused the plan.
    pub fn inspect(bytes: &[u8]) -> Result<InspectedPlan, PlanError> {
        Plan::read(bytes).map(InspectedPlan::new)
    }

    /// As [`inspect`](Plan::inspect), from a regular file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// As [`inspect`](Plan::inspect), and if the file cannot be read.
    pub fn inspect_file(path: impl AsRef<Path>) -> Result<InspectedPlan, PlanError> {
        let bytes = files::read(path.as_ref(), LARGEST)?;
        Plan::inspect(&bytes)
    }

    /// Reads a plan in either form, whatever its digest is.
    fn read(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > LARGEST {
            return Err(PlanError::TooLarge);
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
        let mut content: Content = serde_json::from_slice(bytes).map_err(malformed)?;
        if let Some(flaw) = content.find_statements().or_else(|| content.flaw()) {
            return Err(PlanError::Flawed(flaw));
        }
        let plan = Plan::seal(content).map_err(|_| PlanError::NotCanonical)?;
        if !is_form_of(bytes, &plan.bytes) {
            return Err(PlanError::NotCanonical);
        }
        Ok(plan)
    }
}

impl Content {
    /// Gives each phase the texts of its statements. Returns what is wrong with the list, if anything is: it has exactly
    /// the statements of the phases, each once, in the order in which they are sent first.
    fn find_statements(&mut self) -> Option<String> {
        let mut next = 1;
        for phase in &mut self.phases {
            let flaw = phase.find_statements(&self.statements);
            if flaw.is_some() {
                return flaw.map(|flaw| format!("phase `{}`: {flaw}", phase.name().escape_debug()));
            }
            for &place in phase.statement_places() {
                if place > next {
                    return Some(format!("statement {place} is sent before statement {next}"));
                }
                next = next.max(place + 1);
            }
        }
        let texts: BTreeSet<_> = self.statements.iter().collect();
        if next <= self.statements.len() {
            Some(format!("no phase sends statement {next}"))
        } else if texts.len() < self.statements.len() {
            Some("it has one statement twice".to_owned())
        } else {
            None
        }
    }

    /// Returns what is wrong with a plan of the right form, if anything is.
    pub(super) fn flaw(&self) -> Option<String> {
        let people = [&self.author, &self.last_editor, &self.occasion]
            .into_iter()
            .flatten();
        let program = self.program.iter().flat_map(ProgramIdentity::texts);
        let target = [
            self.target.system_identifier(),
            self.target.database(),
            self.target.role(),
        ];
        let texts = target
            .into_iter()
            .chain([self.pipeline.as_str()])
            .chain(people.map(String::as_str))
            .chain(program);
        for text in texts {
            if let Some(character) = first_unprintable(text) {
                return Some(format!(
                    "{text:?} has a character that people would not see as it is: {character:?}"
                ));
            }
        }
        if let Some(occasion) = self
            .occasion
            .as_deref()
            .filter(|text| text.len() > LONGEST_OCCASION)
        {
            return Some(format!(
                "its occasion has {} bytes, and {LONGEST_OCCASION} are the most",
                occasion.len()
            ));
        }
        for (text, place) in self.statements.iter().zip(1..) {
            // Lines and their indentation are legible in a statement.
            let unprintable =
                |text: &str| first_unprintable(&text.replace(['\n', '\r', '\t'], " "));
            if let Some(character) = unprintable(text) {
                return Some(format!(
                    "its statement {place} has a character that people would not see as it is: {character:?}"
                ));
            }
        }
        if let Some(flaw) = self.means.as_ref().and_then(PlanMeans::flaw) {
            return Some(flaw);
        }
        if self.phases.is_empty() {
            return Some("it has no phase".to_owned());
        }
        let mut names = BTreeSet::new();
        let of_a_phase = self.phases.iter().find_map(|phase| {
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
        });
        of_a_phase.or_else(|| {
            let same = self.change().ok() == Some(self.change);
            (!same).then(|| "it does not have the digest of its own change".to_owned())
        })
    }
}
