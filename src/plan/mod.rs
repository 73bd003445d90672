//! The plan: a dry run or a rehearsal makes it, people approve it, and a live run requires it.

mod contents;
mod difference;
mod effects;
mod form;
mod input;
mod inspected;
mod means;
mod output;
mod planned;
mod program;
mod read;
mod shown;
mod statements;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use contents::{ColumnChange, PlannedColumn, PlannedContents};
pub use difference::{PlanDifference, PlanDifferences};
pub use effects::{Effects, PlannedRows, RowCounts};
pub(crate) use input::file_name as input_file_name;
pub use input::{InputsError, PlanInputs};
pub use inspected::InspectedPlan;
pub use means::PlanMeans;
pub use output::PlanOutputs;
pub use planned::PlannedPhase;
pub use program::ProgramIdentity;
pub use read::PlanError;
pub use shown::ShownPlan;
pub(crate) use statements::SentStatements;
pub use target::Target;

use crate::base::canonical;
use crate::base::digest::Digest;
use crate::base::timestamp::Timestamp;

/// The version of the plan's form; a plan of another version is refused.
const SCHEMA: &str = "phasegate/plan/2";

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
    pub(crate) occasion: Option<String>,
    pub(crate) program: Option<ProgramIdentity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    schema: String,
    pipeline: String,
    target: Target,
    made_by: EffectsSource,
    /// What the plan would be without its occasion, its makers and its validity.
    change: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occasion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_editor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<ProgramIdentity>,
    /// Each text once; the phases name them by their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    statements: Vec<Arc<str>>,
    /// What they use; absent in the plan of a dry run, which has no statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    means: Option<PlanMeans>,
    phases: Vec<PlannedPhase>,
}

impl Content {
    /// Computes the digest of what is changed.
    fn change(&self) -> Result<Digest, canonical::NotCanonical> {
        #[derive(Serialize)]
        struct Change<'c> {
            pipeline: &'c str,
            target: &'c Target,
            statements: &'c [Arc<str>],
            phases: &'c [PlannedPhase],
        }
        let change = Change {
            pipeline: &self.pipeline,
            target: &self.target,
            statements: &self.statements,
            phases: &self.phases,
        };
        Ok(Digest::of(&canonical::encode(&change)?))
    }
}

/// Holding one proves that its content has its digest, and that it came from a dry run or a rehearsal in this process,
/// or was read from bytes, or from a database, by the digest that the caller gave as the approved one.
///
/// It is returned by [`DryRunner::run`](crate::DryRunner::run), [`RehearsalRunner::run`](crate::RehearsalRunner::run),
/// [`Plan::from_saved`] or [`Plan::admitted`]. There is no other way: a plan cannot be built by hand or deserialized.
/// To read one whose digest is not approved yet, [`Plan::inspect`] it.
///
/// [`saved`](Plan::saved) is the file to save: JSON with a line for each member, so that a version control system shows
/// what has changed. [`bytes`](Plan::bytes) is the same as canonical JSON (RFC 8785), and the SHA-256 of those bytes is
/// the [`digest`](Plan::digest), by which everything else refers to the plan. Without this crate, it is computed by
///
/// ```text
/// jq -cjS . plan.json | sha256sum
/// python3 -c 'import json; print(end=json.dumps(json.load(open("plan.json")), sort_keys=True, separators=(",", ":"), ensure_ascii=False))' | sha256sum
/// ```
///
/// `Display` prints the plan for people: what is deleted first, then every phase with its gate, its summary, its
/// statements, and the rows that it inserts, updates and deletes. The same pipeline with the same input makes the same
/// bytes in every dry run; a rehearsal's plan has an [`occasion`](Plan::occasion) too.
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
        mut phases: Vec<PlannedPhase>,
        means: Option<PlanMeans>,
    ) -> Result<Self, String> {
        let mut list = statements::StatementList::default();
        for phase in &mut phases {
            phase.list_statements(&mut list);
        }
        let mut content = Content {
            schema: SCHEMA.to_owned(),
            pipeline: pipeline.to_owned(),
            target,
            made_by,
            change: Digest::of(b""),
            occasion: heading.occasion,
            author: heading.author,
            last_editor: heading.last_editor,
            valid_until: heading.valid_until.map(Timestamp::of),
            program: heading.program,
            statements: list.into_texts(),
            means,
            phases,
        };
        content.change = content.change().map_err(|error| error.to_string())?;
        if let Some(flaw) = content.flaw() {
            return Err(flaw);
        }
        let plan = Plan::seal(content).map_err(|error| error.to_string())?;
        match form::indented(&plan.bytes).len() {
            fits if fits <= read::LARGEST => Ok(plan),
            large => Err(format!(
                "saved, it would have {large} bytes, and {} are the most",
                read::LARGEST
            )),
        }
    }

    /// Binds the values that two rehearsals have written, phase by phase.
    pub(crate) fn binding<'c>(
        mut self,
        measured: impl Iterator<Item = (&'c planned::Contents, &'c planned::Contents)>,
    ) -> Result<Self, String> {
        for (phase, (first, second)) in self.content.phases.iter_mut().zip(measured) {
            phase.binding(first, second);
        }
        self.content.change = self.content.change().map_err(|error| error.to_string())?;
        Plan::seal(self.content).map_err(|error| error.to_string())
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

    /// Returns the plan as it is hashed and admitted: canonical JSON, without a final newline.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the plan as it is saved: the JSON of [`bytes`](Plan::bytes), with a line for each member and item.
    #[must_use]
    pub fn saved(&self) -> Vec<u8> {
        form::indented(&self.bytes)
    }

    /// Returns the SHA-256 of [`bytes`](Plan::bytes), by which an approval names the plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the digest of what the plan changes: its pipeline, target, statements and phases. Two plans with the
    /// same change differ in their occasion, their makers, their validity or their program only.
    #[must_use]
    pub fn change(&self) -> Digest {
        self.content.change
    }

    /// Returns what tells this plan from another one with the same [`change`](Plan::change), as a change that recurs has:
    /// by default, a rehearsal's plan has one, and a dry run's has none.
    #[must_use]
    pub fn occasion(&self) -> Option<&str> {
        self.content.occasion.as_deref()
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

    /// Returns the program that made the plan; `None` if the plan does not say.
    #[must_use]
    pub fn program(&self) -> Option<&ProgramIdentity> {
        self.content.program.as_ref()
    }

    /// Returns the definitions that its statements use; `None` if they are not known, since the plan is of a dry run.
    #[must_use]
    pub fn means(&self) -> Option<&PlanMeans> {
        self.content.means.as_ref()
    }

    /// Returns its phases, in the order in which they are performed.
    #[must_use]
    pub fn phases(&self) -> &[PlannedPhase] {
        &self.content.phases
    }

    /// Returns whether each statement that its phases may send can be read in it: the plan is of a rehearsal, and no
    /// phase sends so many that the plan has the digests of some only.
    #[must_use]
    pub fn shows_statements(&self) -> bool {
        let mut phases = self.content.phases.iter();
        phases.all(|phase| phase.statements().is_some() && phase.statements_by_digest() == 0)
    }

    /// Returns how `other` differs from this plan.
    #[must_use]
    pub fn differences(&self, other: &Plan) -> PlanDifferences {
        PlanDifferences::between(&self.content, &other.content)
    }
}

#[cfg(test)]
mod tests;
