//! The plan: what a dry run leaves, what people approve, what a live run demands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::phase::{PhaseSpec, gates};

/// The version of the plan's form; another is refused.
const SCHEMA: &str = "phasegate/plan/1";

/// A saved plan that is larger than this is refused unread.
const LARGEST: usize = 16 * 1024 * 1024;

/// The one database that a plan is for.
///
/// A description, not a proof: the engine compares it with the server that it is connected to,
/// before each phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    system_identifier: String,
    database: String,
    role: String,
}

impl Target {
    /// The database `database` of the cluster with this system identifier (as
    /// `pg_control_system()` prints it), to be changed by `role`.
    ///
    /// [`Target::identify`] asks the server for all three.
    pub fn new(
        system_identifier: impl Into<String>,
        database: impl Into<String>,
        role: impl Into<String>,
    ) -> Self {
        Target {
            system_identifier: system_identifier.into(),
            database: database.into(),
            role: role.into(),
        }
    }

    /// What identifies the cluster: given by `initdb`, shared by its standbys and by nothing else.
    #[must_use]
    pub fn system_identifier(&self) -> &str {
        &self.system_identifier
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role that changes it.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "database `{}` of cluster {} as role `{}`",
            self.database, self.system_identifier, self.role
        )
    }
}

/// One phase of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPhase {
    name: String,
    gates: Vec<String>,
    after: Vec<String>,
    input: Digest,
}

impl PlannedPhase {
    /// The phase `S` called `name`, with the receipts of `after` and the input that `bytes` are.
    pub(crate) fn of<S: PhaseSpec>(name: &str, after: Vec<String>, bytes: &[u8]) -> Self {
        PlannedPhase {
            name: name.to_owned(),
            gates: gates::<S>(),
            after,
            input: Digest::of(bytes),
        }
    }

    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The gates that it is behind; empty if it is behind none.
    #[must_use]
    pub fn gates(&self) -> &[String] {
        &self.gates
    }

    /// The phases that it comes after; empty if it comes after none.
    #[must_use]
    pub fn after(&self) -> &[String] {
        &self.after
    }

    /// The digest of its input as canonical JSON.
    #[must_use]
    pub fn input(&self) -> Digest {
        self.input
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    schema: String,
    pipeline: String,
    target: Target,
    phases: Vec<PlannedPhase>,
}

/// What every version of the form has, and what is read first.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

/// Holding one proves that its content has the digest that it says, and that it came from a dry run
/// in this process or was read from bytes whose digest the caller gave as the approved one.
///
/// Got from [`DryRunner::run`](crate::DryRunner::run) or [`Plan::from_saved`]. There is no other
/// way: it cannot be built by hand or deserialized.
///
/// [`bytes`](Plan::bytes) is the file to save: canonical JSON (RFC 8785). `sha256sum` of that file
/// is the [`digest`](Plan::digest), which everything else refers to.
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

/// A saved plan was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is larger than any plan is.
    #[error("the plan is refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// It is not the plan that was approved.
    #[error("the plan is refused: its digest is {found}, and {approved} was approved")]
    NotApproved {
        /// The digest that was approved.
        approved: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// It is not a plan.
    #[error("the plan is refused: it is not a plan of `{SCHEMA}`: {0}")]
    Malformed(#[source] serde_json::Error),
    /// It is a plan of another version.
    #[error("the plan is refused: its schema is `{found}`, and this release knows `{SCHEMA}`")]
    UnknownSchema {
        /// The schema that it names.
        found: String,
    },
    /// It says what a plan says, but not in canonical JSON, so `sha256sum` of it means nothing.
    #[error("the plan is refused: it is not in canonical JSON; save `Plan::bytes` unchanged")]
    NotCanonical,
    /// It has no phase, or two of one name.
    #[error("the plan is refused: {0}")]
    Phases(String),
}

impl Plan {
    /// A plan that was saved, if its digest is the approved one.
    ///
    /// `approved` must come from whoever approved, by another way than the file itself: computing
    /// it from the bytes just read approves whatever they say.
    ///
    /// # Errors
    ///
    /// A [`PlanError`] that says which check refused it. The digest is compared before the bytes
    /// are parsed.
    pub fn from_saved(bytes: &[u8], approved: Digest) -> Result<Self, PlanError> {
        if bytes.len() > LARGEST {
            return Err(PlanError::TooLarge { size: bytes.len() });
        }
        let found = Digest::of(bytes);
        if found != approved {
            return Err(PlanError::NotApproved { approved, found });
        }
        let Version { schema } = serde_json::from_slice(bytes).map_err(PlanError::Malformed)?;
        if schema != SCHEMA {
            return Err(PlanError::UnknownSchema { found: schema });
        }
        let content: Content = serde_json::from_slice(bytes).map_err(PlanError::Malformed)?;
        let plan = Plan::seal(content).map_err(|_| PlanError::NotCanonical)?;
        if plan.bytes != bytes {
            return Err(PlanError::NotCanonical);
        }
        let phases = plan.phases();
        if phases.is_empty() {
            return Err(PlanError::Phases("it has no phase".to_owned()));
        }
        for (place, phase) in phases.iter().enumerate() {
            if phases[..place]
                .iter()
                .any(|earlier| earlier.name == phase.name)
            {
                let twice = format!("it has phase `{}` twice", phase.name);
                return Err(PlanError::Phases(twice));
            }
        }
        Ok(plan)
    }

    /// Called by the dry run alone, with what it performed.
    pub(crate) fn new(
        pipeline: &str,
        target: Target,
        phases: Vec<PlannedPhase>,
    ) -> Result<Self, canonical::NotCanonical> {
        Plan::seal(Content {
            schema: SCHEMA.to_owned(),
            pipeline: pipeline.to_owned(),
            target,
            phases,
        })
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

    /// Its phases, in the order in which they are performed.
    #[must_use]
    pub fn phases(&self) -> &[PlannedPhase] {
        &self.content.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let phase = |name: &str, gates: &[&str], after: &[&str]| PlannedPhase {
            name: name.to_owned(),
            gates: owned(gates),
            after: owned(after),
            input: Digest::of(name.as_bytes()),
        };
        let target = Target::new("7312", "town", "runner");
        Plan::new(
            "cut",
            target,
            vec![phase("a", &["SG_1"], &[]), phase("b", &[], &["a"])],
        )
        .unwrap()
    }

    /// The plan's bytes with `from` replaced by `to`, and the digest that would approve them.
    fn altered(from: &str, to: &str) -> (Vec<u8>, Digest) {
        let text = String::from_utf8(plan().bytes().to_vec()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        let bytes = text.replacen(from, to, 1).into_bytes();
        let digest = Digest::of(&bytes);
        (bytes, digest)
    }

    fn refusal(from: &str, to: &str) -> PlanError {
        let (bytes, digest) = altered(from, to);
        Plan::from_saved(&bytes, digest).unwrap_err()
    }

    #[test]
    fn comes_back_from_its_own_bytes() {
        let plan = plan();
        assert_eq!(Plan::from_saved(plan.bytes(), plan.digest()).unwrap(), plan);
    }

    #[test]
    fn its_form_is_fixed() {
        let text = String::from_utf8(plan().bytes().to_vec()).unwrap();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(
            text,
            format!(
                concat!(
                    r#"{{"phases":[{{"after":[],"gates":["SG_1"],"input":"{}","name":"a"}},"#,
                    r#"{{"after":["a"],"gates":[],"input":"{}","name":"b"}}],"pipeline":"cut","#,
                    r#""schema":"phasegate/plan/1","#,
                    r#""target":{{"database":"town","role":"runner","system_identifier":"7312"}}}}"#
                ),
                a, b
            )
        );
    }

    #[test]
    fn another_digest_is_refused_before_anything_is_parsed() {
        let error = Plan::from_saved(b"not even JSON", plan().digest()).unwrap_err();
        assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
        let (bytes, _) = altered("town", "city");
        let error = Plan::from_saved(&bytes, plan().digest()).unwrap_err();
        assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
    }

    #[test]
    fn each_flaw_has_its_own_refusal() {
        let error = refusal("plan/1", "plan/2");
        assert!(matches!(error, PlanError::UnknownSchema { .. }), "{error}");
        let error = refusal("{\"phases\"", "{ \"phases\"");
        assert!(matches!(error, PlanError::NotCanonical), "{error}");
        for (from, to) in [
            ("}}", ""),
            ("\"role\"", "\"rank\""),
            ("\"pipeline\"", "\"extra\":1,\"pipeline\""),
            (
                "\"pipeline\":\"cut\"",
                "\"pipeline\":\"cut\",\"pipeline\":\"cut\"",
            ),
        ] {
            let error = refusal(from, to);
            assert!(matches!(error, PlanError::Malformed(_)), "{from}: {error}");
        }
        let error = refusal("\"name\":\"b\"", "\"name\":\"a\"");
        assert!(error.to_string().contains("`a` twice"), "{error}");
    }

    #[test]
    fn a_plan_without_phases_or_without_bounds_is_refused() {
        let empty = Plan::new("cut", Target::new("1", "d", "r"), Vec::new()).unwrap();
        let error = Plan::from_saved(empty.bytes(), empty.digest()).unwrap_err();
        assert!(matches!(error, PlanError::Phases(_)), "{error}");
        let huge = vec![b'['; LARGEST + 1];
        let error = Plan::from_saved(&huge, Digest::of(&huge)).unwrap_err();
        assert!(matches!(error, PlanError::TooLarge { .. }), "{error}");
        let deep = vec![b'['; 100_000];
        let error = Plan::from_saved(&deep, Digest::of(&deep)).unwrap_err();
        assert!(matches!(error, PlanError::Malformed(_)), "{error}");
    }
}
