//! The plan: a dry run or a rehearsal makes it, people approve it, and a live run requires it.

mod effects;
mod planned;
mod read;
mod shown;
mod target;

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use effects::{Effects, PlannedRows, RowCounts};
pub use planned::PlannedPhase;
pub use read::PlanError;
pub use target::Target;

use crate::base::canonical;
use crate::base::digest::Digest;
use crate::base::timestamp::Timestamp;

/// The version of the plan's form; a plan of another version is refused.
const SCHEMA: &str = "phasegate/plan/1";

/// The source of the effects in a plan.
///
/// Its variants are not named like the modes: the compiler would then print the modes with their path in every error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EffectsSource {
    /// A simulator predicted them, in a dry run.
    #[serde(rename = "dry run")]
    Prediction,
    /// The server counted them, in a rehearsal, which was rolled back.
    #[serde(rename = "rehearsal")]
    Measurement,
}

impl fmt::Display for EffectsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EffectsSource::Prediction => "dry run",
            EffectsSource::Measurement => "rehearsal",
        })
    }
}

/// The caller's own data for a plan that is about to be made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heading {
    pub(crate) author: Option<String>,
    pub(crate) last_editor: Option<String>,
    pub(crate) valid_until: Option<SystemTime>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    schema: String,
    pipeline: String,
    target: Target,
    made_by: EffectsSource,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_editor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
    phases: Vec<PlannedPhase>,
}

/// Holding one proves that its content has its digest, and that it came from a dry run or a rehearsal in this process,
/// or was read from bytes whose digest the caller gave as the approved one.
///
/// It is returned by [`DryRunner::run`](crate::DryRunner::run), [`RehearsalRunner::run`](crate::RehearsalRunner::run)
/// or [`Plan::from_saved`]. There is no other way: a plan cannot be built by hand or deserialized.
///
/// [`bytes`](Plan::bytes) is the file to save: canonical JSON (RFC 8785), for `jq`. `sha256sum` of that file is the
/// [`digest`](Plan::digest), by which everything else refers to the plan. `Display` prints the plan for people: every
/// phase with its gate, its summary, and the rows that it inserts, updates and deletes. The same pipeline with the
/// same input makes the same bytes in every dry run.
///
/// A plan is not a template. Nothing is filled in when it is performed: exactly what was hashed is performed.
///
/// ```compile_fail
/// let plan: phasegate::Plan = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    content: Content,
    bytes: Vec<u8>,
    digest: Digest,
}

impl From<&Plan> for Plan {
    fn from(plan: &Plan) -> Self {
        plan.clone()
    }
}

impl Plan {
    /// Makes a plan of the performed phases; called by the dry run and the rehearsal only. The error tells what is
    /// wrong with the plan.
    pub(crate) fn made(
        made_by: EffectsSource,
        pipeline: &str,
        target: Target,
        heading: Heading,
        phases: Vec<PlannedPhase>,
    ) -> Result<Self, String> {
        let content = Content {
            schema: SCHEMA.to_owned(),
            pipeline: pipeline.to_owned(),
            target,
            made_by,
            author: heading.author,
            last_editor: heading.last_editor,
            valid_until: heading.valid_until.map(Timestamp::of),
            phases,
        };
        match content.flaw() {
            Some(flaw) => Err(flaw),
            None => Plan::seal(content).map_err(|error| error.to_string()),
        }
    }

    fn seal(content: Content) -> Result<Self, canonical::NotCanonical> {
        let bytes = canonical::encode(&content)?;
        let digest = Digest::of(&bytes);
        Ok(Plan {
            content,
            bytes,
            digest,
        })
    }

    /// Returns the plan as it is saved, hashed and approved: canonical JSON, without a final newline.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the SHA-256 of [`bytes`](Plan::bytes), by which an approval names the plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the name of the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.content.pipeline
    }

    /// Returns the database that the plan is for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.content.target
    }

    /// Returns the source of its effects.
    #[must_use]
    pub fn made_by(&self) -> EffectsSource {
        self.content.made_by
    }

    /// Returns its author, as the policies of gates name people; `None` if the plan does not name one.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.content.author.as_deref()
    }

    /// Returns who last changed the plan's input, if that was not the author.
    #[must_use]
    pub fn last_editor(&self) -> Option<&str> {
        self.content.last_editor.as_deref()
    }

    /// Returns when the plan expires, after which no phase of it is performed; `None` if it does not expire.
    #[must_use]
    pub fn valid_until(&self) -> Option<SystemTime> {
        self.content.valid_until.map(Timestamp::time)
    }

    /// Returns its phases, in the order in which they are performed.
    #[must_use]
    pub fn phases(&self) -> &[PlannedPhase] {
        &self.content.phases
    }
}

#[cfg(test)]
mod tests;
