use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::EvidenceBundle;
use super::bundle::{Admitted, PlanText};
use super::files::{row_file, statement_stem};
use crate::base::digest::Digest;
use crate::plan::PlanMeans;

const TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str =
    "https://docs.rs/phasegate/latest/phasegate/struct.InTotoStatement.html#run-v1";

/// The run, as an [in-toto statement](https://in-toto.io/Statement/v1) about the plan.
///
/// It repeats, in the form that attestation tools read, what the other files of an [`EvidenceBundle`] prove. By itself
/// it proves nothing: it is not signed. To vouch for it, sign it, for example by `ssh-keygen -Y sign -n in-toto -f KEY
/// run.intoto.json`, or in an envelope of the tool that reads it.
///
#[doc = include_str!("../../docs/run-v1.md")]
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InTotoStatement {
    #[serde(rename = "_type")]
    statement_type: &'static str,
    subject: [Subject; 1],
    predicate_type: &'static str,
    predicate: Run,
}

#[derive(Debug, Clone, Serialize)]
struct Subject {
    name: &'static str,
    digest: Sha256,
}

#[derive(Debug, Clone, Serialize)]
struct Sha256 {
    sha256: Digest,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    pipeline: String,
    target: crate::plan::Target,
    outcome: &'static str,
    phases_planned: usize,
    phases_committed: usize,
    collected_at: String,
    phases: Vec<Phase>,
    resolved_dependencies: Vec<Dependency>,
    unspent: Vec<Spoken>,
    rejections: Vec<Spoken>,
    journal_head: Digest,
}

/// A phase of the plan, with its row of the journal; `None` there if it is not committed.
#[derive(Debug, Clone, Serialize)]
struct Phase {
    name: String,
    gates: Vec<String>,
    input: Sha256,
    committed: Option<Committed>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    file: String,
    journal_hash: Digest,
    role: Value,
    from: Value,
    xid: Value,
    opened_at: Value,
    finished_at: Value,
    effects: Value,
    approvals: Vec<Spoken>,
}

/// What the run depended on, by its digest, as the plan binds it.
#[derive(Debug, Clone, Serialize)]
struct Dependency {
    name: String,
    digest: Sha256,
}

impl Dependency {
    /// Returns the inputs, the statements, the definitions and the program of a plan.
    fn all_of(plan: &PlanText) -> Vec<Self> {
        let named = |name: String, sha256: Digest| Dependency {
            name,
            digest: Sha256 { sha256 },
        };
        let phases = plan.phases.iter();
        let mut all: Vec<_> = phases
            .map(|phase| named(format!("input of {}", phase.name), phase.input))
            .collect();
        let statements = (1..).zip(&plan.statements);
        all.extend(statements.map(|(place, text): (u32, _)| {
            named(format!("statement {place}"), Digest::of(text.as_bytes()))
        }));
        let objects = plan.means.iter().flat_map(PlanMeans::objects);
        all.extend(objects.map(|(name, digest)| named(name.clone(), *digest)));
        let program = plan.program.iter();
        all.extend(
            program.map(|program| named(format!("program {}", program.name()), program.sha256())),
        );
        all
    }
}

/// An approver's decision on a gate.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spoken {
    gate: String,
    by: String,
    comment: String,
    nonce: String,
    admitted_by: String,
    admitted_at: String,
    /// Empty if the approval is unsigned.
    signed: Vec<Signed>,
}

#[derive(Debug, Clone, Serialize)]
struct Signed {
    by: String,
    file: String,
    statement: Sha256,
    signature: Sha256,
}

impl EvidenceBundle {
    /// Returns an in-toto statement about the plan: what was run, who approved it, when, and with which effects.
    #[must_use]
    pub fn statement(&self) -> InTotoStatement {
        InTotoStatement::of(self)
    }
}

impl InTotoStatement {
    pub(super) fn of(bundle: &EvidenceBundle) -> Self {
        let directories = bundle.directories();
        let directories: BTreeMap<&str, &str> = (directories.iter())
            .map(|(directory, admitted)| (&*admitted.nonce, &**directory))
            .collect();
        let spoken = |admitted: &Admitted| Spoken::of(admitted, &directories);
        let stored: Vec<_> = bundle.journal.stored().collect();
        let mut spent: BTreeMap<i32, Vec<&Admitted>> = BTreeMap::new();
        for admitted in &bundle.approvals {
            for place in &admitted.spent {
                spent.entry(*place).or_default().push(admitted);
            }
        }
        let phases: Vec<Phase> = (1..)
            .zip(&bundle.planned.phases)
            .map(|(place, planned): (u32, _)| {
                let row = stored.get(place as usize - 1);
                let spent = i32::try_from(place).ok().and_then(|at| spent.get(&at));
                Phase {
                    name: planned.name.clone(),
                    gates: planned.gates.clone(),
                    input: Sha256 {
                        sha256: planned.input,
                    },
                    committed: row.map(|(body, hash)| {
                        let row: Value = serde_json::from_str(body).unwrap_or_default();
                        Committed {
                            file: row_file(place),
                            journal_hash: *hash,
                            role: row["role"].clone(),
                            from: row["from"].clone(),
                            xid: row["xid"].clone(),
                            opened_at: row["opened_at"].clone(),
                            finished_at: row["finished_at"].clone(),
                            effects: row["effects"].clone(),
                            approvals: spent.into_iter().flatten().copied().map(spoken).collect(),
                        }
                    }),
                }
            })
            .collect();
        let unspent = bundle.approvals.iter().filter(|a| a.spent.is_empty());
        InTotoStatement {
            statement_type: TYPE,
            subject: [Subject {
                name: "plan.json",
                digest: Sha256 {
                    sha256: bundle.plan,
                },
            }],
            predicate_type: PREDICATE,
            predicate: Run {
                pipeline: bundle.planned.pipeline.clone(),
                target: bundle.planned.target.clone(),
                outcome: bundle.outcome(),
                phases_planned: phases.len(),
                phases_committed: stored.len(),
                collected_at: bundle.collected_at.clone(),
                phases,
                resolved_dependencies: Dependency::all_of(&bundle.planned),
                unspent: unspent.map(spoken).collect(),
                rejections: bundle.rejections.iter().map(spoken).collect(),
                journal_head: bundle.journal.head(),
            },
        }
    }

    /// Returns the statement as it is in the bundle: JSON, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and maps of them always have a JSON form.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

impl Spoken {
    fn of(admitted: &Admitted, directories: &BTreeMap<&str, &str>) -> Self {
        let evidence = admitted.evidence.iter();
        let directory = directories
            .get(&*admitted.nonce)
            .copied()
            .unwrap_or_default();
        let signed = (1..)
            .zip(evidence.flat_map(|evidence| &evidence.statements))
            .map(|(n, signed)| Signed {
                by: signed.approver.clone(),
                file: format!("{}.statement.json", statement_stem(directory, n)),
                statement: Sha256 {
                    sha256: Digest::of(signed.statement.as_bytes()),
                },
                signature: Sha256 {
                    sha256: Digest::of(signed.signature.as_bytes()),
                },
            });
        Spoken {
            gate: admitted.gate.clone(),
            by: admitted.approver.clone(),
            comment: admitted.comment.clone(),
            nonce: admitted.nonce.clone(),
            admitted_by: admitted.admitted_by.clone(),
            admitted_at: admitted.admitted_at.clone(),
            signed: signed.collect(),
        }
    }
}

impl EvidenceBundle {
    /// Returns the outcome of the run, in one word.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.journal.stored().count() {
            done if done >= self.planned.phases.len() => "committed",
            _ if !self.rejections.is_empty() => "rejected",
            0 => "not begun",
            _ => "stopped",
        }
    }
}
