use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::demand::Demand;
use super::printable::{self, NotPlain};
use crate::authority::Gate;
use crate::base::canonical;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::Printable;
use crate::plan::Plan;

const SCHEMA: &str = "phasegate/policy/1";

/// The greatest size of a policy, in bytes; a larger one is refused unread.
const LARGEST: usize = 1024 * 1024;

/// Who may approve which gate, and how many approvers each gate needs.
///
/// A gate without a rule cannot be approved.
///
/// ```
/// use phasegate::{Sg1, Sg2, ssh::{GateRule, Policy, PolicyError}};
/// use std::time::Duration;
///
/// fn policy() -> Result<Policy, PolicyError> {
///     let day = Duration::from_secs(24 * 3600);
///     Policy::builder()
///         .gate::<Sg1>(GateRule::of(["ada", "grace", "mary"]).needs(2).longest_life(day))
///         .gate::<Sg2>(GateRule::of(["ada", "grace", "mary"]).other_people_than::<Sg1>())
///         .build()
/// }
/// ```
///
/// Its file is JSON, with durations in seconds:
///
/// ```json
/// {
///   "schema": "phasegate/policy/1",
///   "gates": {
///     "SG_1": { "approvers": ["ada", "grace", "mary"], "needs": 2, "longest_life": 86400,
///               "demands": ["statements"] },
///     "SG_2": { "approvers": ["ada", "grace", "mary"], "needs": 1, "longest_life": 86400,
///               "other_people_than": ["SG_1"], "author_may_approve": false }
///   }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    gates: BTreeMap<String, GateRule>,
}

/// The rule for one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRule {
    approvers: Vec<String>,
    needs: u32,
    /// In seconds.
    longest_life: u64,
    #[serde(default)]
    author_may_approve: bool,
    #[serde(default)]
    other_people_than: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    demands: Vec<Demand>,
}

/// Why a policy was refused. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The policy is larger than allowed.
    #[error("the policy is refused unread: {size} bytes, and the limit is {LARGEST}")]
    TooLarge {
        /// The size of the policy, in bytes.
        size: usize,
    },
    /// The text is not the JSON of a policy, or has a member twice, or an unknown member.
    #[error("the policy is refused: it is not a policy of `{SCHEMA}`: {}", Printable(&.0.to_string()))]
    Malformed(serde_json::Error),
    /// The policy has another version.
    #[error("the policy is refused: its schema is `{found}`, and this release knows `{SCHEMA}`", found = Printable(.found))]
    UnknownSchema {
        /// The schema in the policy.
        found: String,
    },
    /// The policy has no gate.
    #[error("the policy is refused: it has no gate, and so nothing could be approved")]
    NoGate,
    /// A gate has no approver.
    #[error("the policy is refused: gate `{gate}` has no approvers", gate = Printable(.gate))]
    NoApprovers {
        /// The name of the gate.
        gate: String,
    },
    /// A gate has an approver twice.
    #[error(
        "the policy is refused: gate `{gate}` has the approver `{approver}` twice, who counts once", gate = Printable(.gate), approver = Printable(.approver))]
    Twice {
        /// The name of the gate.
        gate: String,
        /// The name of the approver.
        approver: String,
    },
    /// A gate needs no approval.
    #[error(
        "the policy is refused: gate `{gate}` needs 0 approvals", gate = Printable(.gate))]
    NeedsNobody {
        /// The name of the gate.
        gate: String,
    },
    /// A gate needs more people than may approve it.
    #[error(
        "the policy is refused: gate `{gate}` needs {needs} approvals, and has {approvers} approvers", gate = Printable(.gate))]
    NeedsTooMany {
        /// The name of the gate.
        gate: String,
        /// The number of people that it needs.
        needs: u32,
        /// The number of its approvers.
        approvers: usize,
    },
    /// The longest validity of a gate's approvals is zero, or too large.
    #[error(
        "the policy is refused: approvals of gate `{gate}` last for no time", gate = Printable(.gate))]
    NoLife {
        /// The name of the gate.
        gate: String,
    },
    /// A gate needs other people than itself, or than a gate that the policy does not have.
    #[error(
        "the policy is refused: gate `{gate}` needs other people than gate `{other}`, which is no other gate of the policy", gate = Printable(.gate), other = Printable(.other))]
    NoOtherGate {
        /// The name of the gate.
        gate: String,
        /// The other gate.
        other: String,
    },
    /// A name is not printable, or is a pattern.
    #[error("the policy is refused: a name of gate `{gate}` {flaw}", gate = Printable(.gate))]
    Name {
        /// The name of the gate.
        gate: String,
        /// What is wrong with the name.
        flaw: NotPlain,
    },
}

impl PolicyError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            PolicyError::File(error) => error.code(),
            PolicyError::TooLarge { .. } => "policy_too_large",
            PolicyError::Malformed(_) => "policy_malformed",
            PolicyError::UnknownSchema { .. } => "policy_unknown_schema",
            PolicyError::NoGate => "policy_no_gate",
            PolicyError::NoApprovers { .. } => "policy_no_approvers",
            PolicyError::Twice { .. } => "policy_approver_twice",
            PolicyError::NeedsNobody { .. } => "policy_needs_none",
            PolicyError::NeedsTooMany { .. } => "policy_needs_too_many",
            PolicyError::NoLife { .. } => "policy_no_life",
            PolicyError::NoOtherGate { .. } => "policy_no_other_gate",
            PolicyError::Name { .. } => "policy_name",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            PolicyError::File(error) => return error.hint(),
            PolicyError::UnknownSchema { .. } => "Write the policy for this release.",
            PolicyError::NoGate => "Name each gate of the plan, with its approvers.",
            PolicyError::NoApprovers { .. } => "Write who may approve it into `approvers`.",
            PolicyError::Twice { .. } => "Name each approver once.",
            PolicyError::NeedsNobody { .. } => {
                "Give `needs` at least 1. A phase without a gate has `type Gate = Ungated;`."
            }
            PolicyError::NeedsTooMany { .. } => "Name more approvers, or lower `needs`.",
            PolicyError::NoLife { .. } => {
                "Give `longest_life` in seconds, such as 86400 for a day."
            }
            PolicyError::NoOtherGate { .. } => {
                "Name another gate of the policy in `other_people_than`."
            }
            PolicyError::TooLarge { .. } | PolicyError::Malformed(_) | PolicyError::Name { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

impl GateRule {
    /// Creates a rule by which one of these people approves, for at most a day, and not the plan's author.
    pub fn of<N: Into<String>>(approvers: impl IntoIterator<Item = N>) -> Self {
        GateRule {
            approvers: approvers.into_iter().map(Into::into).collect(),
            needs: 1,
            longest_life: 24 * 60 * 60,
            author_may_approve: false,
            other_people_than: Vec::new(),
            demands: Vec::new(),
        }
    }

    /// Sets how many different people have to approve.
    #[must_use]
    pub fn needs(mut self, people: u32) -> Self {
        self.needs = people;
        self
    }

    /// Sets the longest validity of an approval, in whole seconds.
    #[must_use]
    pub fn longest_life(mut self, life: Duration) -> Self {
        self.longest_life = life.as_secs();
        self
    }

    /// Allows the plan's author and its last editor to approve.
    #[must_use]
    pub fn author_may_approve(mut self) -> Self {
        self.author_may_approve = true;
        self
    }

    /// Excludes the people who sign gate `G`.
    #[must_use]
    pub fn other_people_than<G: Gate>(mut self) -> Self {
        self.other_people_than.push(G::NAME.to_owned());
        self
    }

    /// Demands something of the plan itself, before it can be approved.
    #[must_use]
    pub fn demand(mut self, demand: Demand) -> Self {
        self.demands.push(demand);
        self
    }

    /// Returns what the rule demands of the plan.
    #[must_use]
    pub fn demanded(&self) -> &[Demand] {
        &self.demands
    }

    /// Returns the approvers, by their names in the allowed signers.
    #[must_use]
    pub fn approvers(&self) -> &[String] {
        &self.approvers
    }

    /// Returns how many different people have to approve.
    #[must_use]
    pub fn needed(&self) -> u32 {
        self.needs
    }

    /// Returns the longest validity of an approval.
    #[must_use]
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.longest_life)
    }

    /// Returns whether the author of a plan may approve it.
    #[must_use]
    pub fn author_counts(&self) -> bool {
        self.author_may_approve
    }

    /// Returns the gates whose signers do not count for this one.
    #[must_use]
    pub fn other_than(&self) -> &[String] {
        &self.other_people_than
    }
}

/// Builds a [`Policy`].
#[derive(Debug, Clone, Default)]
pub struct PolicyBuilder {
    gates: BTreeMap<String, GateRule>,
}

impl PolicyBuilder {
    /// Sets the rule for gate `G`.
    #[must_use]
    pub fn gate<G: Gate>(self, rule: GateRule) -> Self {
        self.gate_named(G::NAME, rule)
    }

    /// As [`gate`](PolicyBuilder::gate), for a gate whose name is known only at run time.
    #[must_use]
    pub fn gate_named(mut self, gate: impl Into<String>, rule: GateRule) -> Self {
        self.gates.insert(gate.into(), rule);
        self
    }

    /// Builds the policy.
    ///
    /// # Errors
    ///
    /// Returns an error if the policy contradicts itself.
    pub fn build(self) -> Result<Policy, PolicyError> {
        Policy::of(self.gates)
    }
}

#[derive(Serialize)]
struct Written<'a> {
    gates: &'a BTreeMap<String, GateRule>,
    schema: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    gates: Gates,
    #[serde(rename = "schema")]
    _schema: String,
}

#[derive(Deserialize)]
struct Version {
    schema: String,
}

impl Policy {
    /// Returns a builder without gates.
    #[must_use]
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// Returns what its rules demand of the plan, and the plan has not.
    pub(super) fn demands_unmet_by(&self, plan: &Plan) -> Vec<Demand> {
        let demands = self.gates.values().flat_map(GateRule::demanded);
        let unmet = demands.filter(|demand| !demand.is_met_by(plan));
        unmet.cloned().collect()
    }

    /// Parses a policy. White space and the order of members are free, but no member may occur twice.
    ///
    /// # Errors
    ///
    /// Returns a [`PolicyError`] if the text is not a policy.
    pub fn from_json(json: &[u8]) -> Result<Self, PolicyError> {
        if json.len() > LARGEST {
            return Err(PolicyError::TooLarge { size: json.len() });
        }
        let version: Version = serde_json::from_slice(json).map_err(PolicyError::Malformed)?;
        if version.schema != SCHEMA {
            return Err(PolicyError::UnknownSchema {
                found: version.schema,
            });
        }
        let file: File = serde_json::from_slice(json).map_err(PolicyError::Malformed)?;
        Policy::of(file.gates.0)
    }

    /// Reads a policy from a file. A file that is too large is not read to its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system refuses an operation, or as [`from_json`](Policy::from_json).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, PolicyError> {
        Policy::from_json(&files::read(path.as_ref(), LARGEST)?)
    }

    /// Returns the policy as canonical JSON, as it stands in the journal.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = canonical::encode(&Written {
            gates: &self.gates,
            schema: SCHEMA,
        });
        // Its numbers were checked when it was built, and the rest is text.
        String::from_utf8(written.unwrap_or_default()).unwrap_or_default()
    }

    /// Returns the rule for this gate; `None` if the gate cannot be approved.
    #[must_use]
    pub fn gate(&self, gate: &str) -> Option<&GateRule> {
        self.gates.get(gate)
    }

    fn of(gates: BTreeMap<String, GateRule>) -> Result<Self, PolicyError> {
        if gates.is_empty() {
            return Err(PolicyError::NoGate);
        }
        for (gate, rule) in &gates {
            refuse_contradictions(gate, rule)?;
            let mut others = rule.other_people_than.iter();
            if let Some(other) = others.find(|o| *o == gate || !gates.contains_key(*o)) {
                return Err(PolicyError::NoOtherGate {
                    gate: gate.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(Policy { gates })
    }
}

fn refuse_contradictions(name: &str, rule: &GateRule) -> Result<(), PolicyError> {
    let gate = || name.to_owned();
    for text in rule
        .approvers
        .iter()
        .map(|approver| &**approver)
        .chain([name])
    {
        printable::name(text).map_err(|flaw| PolicyError::Name { gate: gate(), flaw })?;
    }
    if rule.approvers.is_empty() {
        return Err(PolicyError::NoApprovers { gate: gate() });
    }
    for (at, approver) in rule.approvers.iter().enumerate() {
        if rule.approvers[..at].contains(approver) {
            return Err(PolicyError::Twice {
                gate: gate(),
                approver: approver.clone(),
            });
        }
    }
    if rule.needs == 0 {
        return Err(PolicyError::NeedsNobody { gate: gate() });
    }
    if usize::try_from(rule.needs).is_ok_and(|needs| needs > rule.approvers.len()) {
        return Err(PolicyError::NeedsTooMany {
            gate: gate(),
            needs: rule.needs,
            approvers: rule.approvers.len(),
        });
    }
    // Canonical JSON has no larger integers, so no approval can be valid for longer.
    if rule.longest_life == 0 || rule.longest_life > 1 << 53 {
        return Err(PolicyError::NoLife { gate: gate() });
    }
    Ok(())
}

/// The gates of a file, none of which may occur twice.
struct Gates(BTreeMap<String, GateRule>);

impl<'de> Deserialize<'de> for Gates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Gates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of gates")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Gates, A::Error> {
                let mut gates = BTreeMap::new();
                while let Some((gate, rule)) = map.next_entry::<String, GateRule>()? {
                    if gates.contains_key(&gate) {
                        return Err(A::Error::custom(format_args!("gate `{gate}` twice")));
                    }
                    gates.insert(gate, rule);
                }
                Ok(Gates(gates))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
