//! The plan: what a dry run or a rehearsal leaves, what people approve, what a live run demands.

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

/// The version of the plan's form; another is refused.
const SCHEMA: &str = "phasegate/plan/1";

/// What foretold the effects that a plan names.
///
/// Not called as the modes are: the compiler would then write these with their path in every error.
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

/// What the caller says of a plan that is about to be made.
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

/// Holding one proves that its content has the digest that it says, and that it came from a dry run
/// or a rehearsal in this process or was read from bytes whose digest the caller gave as the approved one.
///
/// Got from [`DryRunner::run`](crate::DryRunner::run),
/// [`RehearsalRunner::run`](crate::RehearsalRunner::run) or [`Plan::from_saved`]. There is no other
/// way: it cannot be built by hand or deserialized.
///
/// [`bytes`](Plan::bytes) is the file to save: canonical JSON (RFC 8785), for `jq`. `sha256sum` of
/// that file is the [`digest`](Plan::digest), which everything else refers to. `Display` writes it
/// for people: every phase with its gate, its summary, and the rows that it inserts, updates and
/// deletes. The same pipeline with the same input leaves the same bytes in every dry run.
///
/// It is no template. Nothing is filled in when it is performed: what is executed is what was hashed.
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
    /// Called by the dry run and the rehearsal alone, with what they performed. The error says what
    /// is wrong with it.
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

    /// The plan as it is saved, hashed and approved: canonical JSON, without a final newline.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`bytes`](Plan::bytes): what an approval names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The pipeline that it is a plan of.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        &self.content.pipeline
    }

    /// The database that it is for.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.content.target
    }

    /// What foretold the effects that it names.
    #[must_use]
    pub fn made_by(&self) -> EffectsSource {
        self.content.made_by
    }

    /// Who made it, as the policies of gates name people; none if it does not say.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.content.author.as_deref()
    }

    /// Who last changed what it was made of, if that was another than the author.
    #[must_use]
    pub fn last_editor(&self) -> Option<&str> {
        self.content.last_editor.as_deref()
    }

    /// From when on no phase of it is performed any more; none if it does not say.
    #[must_use]
    pub fn valid_until(&self) -> Option<SystemTime> {
        self.content.valid_until.map(Timestamp::time)
    }

    /// Its phases, in the order in which they are performed.
    #[must_use]
    pub fn phases(&self) -> &[PlannedPhase] {
        &self.content.phases
    }
}

#[cfg(test)]
mod tests;
