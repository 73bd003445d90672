use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::checks::{Check, Compared, checks};
use crate::base::digest::Digest;
use crate::database::JournalEntry;
use crate::evidence::{Admitted, EvidenceBundle};
use crate::plan::Target;

/// The name of the form of [`Report::to_json`].
const SCHEMA: &str = "phasegate/report/1";

/// A report of one run, computed from an [`EvidenceBundle`] and nothing else, so that it can be made of a stranger's
/// evidence too. It says at the top what was verified.
///
/// ```no_run
/// # fn report(auditor: &mut postgres::Client, plan: phasegate::Digest) -> Result<(), Box<dyn std::error::Error>> {
/// use phasegate::audit::{EvidenceBundle, Report};
///
/// let bundle = EvidenceBundle::collect(auditor, plan)?;
/// let report = Report::of(&bundle).compare_plan(plan);
/// std::fs::write("run.html", report.to_html())?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    bundle: EvidenceBundle,
    compared: Compared,
}

/// Everything that a report says, in its order. Its JSON is described by `docs/schemas/report-1.json`.
#[derive(Debug, Serialize)]
pub(super) struct Content {
    pub(super) schema: &'static str,
    pub(super) verdict: Verdict,
    pub(super) checks: Vec<Check>,
    pub(super) plan: PlanContent,
    pub(super) collected_at: String,
    pub(super) phases: Vec<PhaseContent>,
    pub(super) approvals: Vec<ApprovalContent>,
    pub(super) limits: Vec<&'static str>,
    pub(super) journal_head: String,
    pub(super) commands: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// `committed`, `stopped`, `rejected` or `not begun`.
    pub(super) outcome: &'static str,
    pub(super) sentence: String,
    /// `yes`, `no` or `in part`.
    pub(super) verified: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct PlanContent {
    pub(super) digest: String,
    pub(super) pipeline: String,
    pub(super) author: Option<String>,
    pub(super) target: Target,
}

#[derive(Debug, Serialize)]
pub(super) struct PhaseContent {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) gates: Vec<String>,
    pub(super) input: String,
    pub(super) committed: Option<CommittedContent>,
    pub(super) tables: Vec<TableContent>,
}

#[derive(Debug, Serialize)]
pub(super) struct CommittedContent {
    pub(super) opened_at: String,
    pub(super) finished_at: String,
    pub(super) role: String,
    pub(super) from: String,
    pub(super) xid: String,
}

/// The rows of one kind of change of one table.
#[derive(Debug, Serialize)]
pub(super) struct TableContent {
    pub(super) table: String,
    pub(super) kind: &'static str,
    pub(super) planned: u64,
    pub(super) tolerance: u64,
    /// `None` for a phase that is not committed.
    pub(super) seen: Option<u64>,
    /// Whether the seen rows are within the planned ones.
    pub(super) as_planned: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(super) struct ApprovalContent {
    /// `approve` or `reject`.
    pub(super) decision: &'static str,
    pub(super) gate: String,
    pub(super) approver: String,
    pub(super) signed_by: Vec<String>,
    pub(super) comment: String,
    pub(super) admitted_by: String,
    pub(super) admitted_at: String,
    /// The phases that have spent it, each with its transaction.
    pub(super) spent: Vec<SpentContent>,
}

#[derive(Debug, Serialize)]
pub(super) struct SpentContent {
    pub(super) place: i32,
    pub(super) phase: String,
    pub(super) xid: String,
}

const LIMITS: [&str; 4] = [
    "Refusals and rollbacks leave no trace in the database, so this report does not show who tried and failed.",
    "Only rows of guarded tables are counted. Effects outside of the database are not.",
    "Equal numbers of rows do not show that they were the right rows.",
    "A person who can forge the whole evidence can make it consistent. Compare the digest of the plan, the hash of the journal's \
     last row and the owners of the keys with what you have from other sources.",
];

impl Report {
    /// Begins the report of this evidence, compared with nothing from elsewhere.
    #[must_use]
    pub fn of(bundle: &EvidenceBundle) -> Self {
        Report {
            bundle: bundle.clone(),
            compared: Compared::default(),
        }
    }

    /// Compares the plan with the digest that its approvers know.
    #[must_use]
    pub fn compare_plan(mut self, plan: Digest) -> Self {
        self.compared.plan = Some(plan);
        self
    }

    /// Compares the hash of the journal's last row with the one that the runner's receipt has.
    #[must_use]
    pub fn compare_head(mut self, head: Digest) -> Self {
        self.compared.head = Some(head);
        self
    }

    /// Compares the signers by which the approvals were verified with a file that the reader trusts; `name` is shown.
    #[must_use]
    pub fn compare_signers(mut self, name: impl Into<String>, content: impl Into<String>) -> Self {
        self.compared.signers = Some((name.into(), content.into()));
        self
    }

    /// Returns the report as one HTML file without scripts, which loads nothing.
    #[must_use]
    pub fn to_html(&self) -> String {
        super::html::page(&self.content())
    }

    /// Returns the report as Markdown of at most 60,000 characters, for the comment of a pull request.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        super::markdown::page(&self.content())
    }

    /// Returns the report as JSON, of the form `phasegate/report/1`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.content()).unwrap_or_default()
    }

    pub(super) fn content(&self) -> Content {
        let bundle = &self.bundle;
        let plan: Value = serde_json::from_slice(&bundle.plan_bytes).unwrap_or_default();
        let entries: Vec<Option<JournalEntry>> = (bundle.journal.stored())
            .map(|(body, _)| serde_json::from_str(body).ok())
            .collect();
        let empty = Vec::new();
        let planned = plan["phases"].as_array().unwrap_or(&empty);
        let phases: Vec<_> = (1..)
            .zip(planned)
            .map(|(place, planned)| {
                let entry = entries.get(place - 1).and_then(Option::as_ref);
                phase(place, planned, entry)
            })
            .collect();
        let checks = checks(bundle, &self.compared);
        let approvals = (bundle.approvals.iter().map(|it| (it, "approve")))
            .chain(bundle.rejections.iter().map(|it| (it, "reject")))
            .map(|(admitted, decision)| approval(admitted, decision, &entries))
            .collect();
        let digest = bundle.plan().to_string();
        let journal_head = bundle.journal.head().to_string();
        Content {
            schema: SCHEMA,
            verdict: Verdict {
                outcome: bundle.outcome(),
                sentence: sentence(bundle.outcome(), &phases),
                verified: Check::all(&checks),
            },
            checks,
            plan: PlanContent {
                pipeline: bundle.planned.pipeline.clone(),
                author: plan["author"].as_str().map(str::to_owned),
                target: bundle.planned.target.clone(),
                digest: digest.clone(),
            },
            collected_at: bundle.collected_at.clone(),
            phases,
            approvals,
            limits: LIMITS.to_vec(),
            commands: vec![
                "sha256sum plan.json".to_owned(),
                "tail -n 1 journal/chain".to_owned(),
                format!("sh verify.sh -p {digest} -e {journal_head} -s YOUR_ALLOWED_SIGNERS ."),
            ],
            journal_head,
        }
    }
}

fn phase(place: usize, planned: &Value, entry: Option<&JournalEntry>) -> PhaseContent {
    let text = |key: &str| planned[key].as_str().unwrap_or_default().to_owned();
    let gates = planned["gates"].as_array().into_iter().flatten();
    let mut tables = BTreeSet::new();
    if let Some(effects) = planned["effects"].as_object() {
        tables.extend(effects.keys().map(String::as_str));
    }
    if let Some(entry) = entry {
        tables.extend(entry.effects.tables().map(|(table, _)| table));
    }
    let mut rows = Vec::new();
    for table in tables {
        let of_table = &planned["effects"][table];
        let tolerance = of_table["tolerance"].as_u64().unwrap_or(0);
        let seen = entry.map(|entry| entry.effects.of(table).kinds());
        for (n, kind) in ["inserted", "updated", "deleted"].into_iter().enumerate() {
            let planned = of_table[kind].as_u64().unwrap_or(0);
            let seen = seen.map(|seen| seen[n].1);
            if planned > 0 || seen.is_some_and(|seen| seen > 0) {
                rows.push(TableContent {
                    table: table.to_owned(),
                    kind,
                    planned,
                    tolerance,
                    seen,
                    as_planned: seen.map(|seen| seen.abs_diff(planned) <= tolerance),
                });
            }
        }
    }
    PhaseContent {
        place,
        name: text("name"),
        summary: text("summary"),
        gates: gates
            .filter_map(|gate| gate.as_str().map(str::to_owned))
            .collect(),
        input: text("input"),
        committed: entry.map(|entry| CommittedContent {
            opened_at: entry.opened_at.clone(),
            finished_at: entry.finished_at.clone(),
            role: entry.role.clone(),
            from: entry.from.clone(),
            xid: entry.xid.clone(),
        }),
        tables: rows,
    }
}

fn approval(
    admitted: &Admitted,
    decision: &'static str,
    entries: &[Option<JournalEntry>],
) -> ApprovalContent {
    let signed = admitted.evidence.iter().flat_map(|it| &it.statements);
    let spent = admitted.spent.iter().map(|&place| {
        let at = usize::try_from(place)
            .ok()
            .and_then(|place| place.checked_sub(1));
        let entry = at.and_then(|at| entries.get(at)?.as_ref());
        SpentContent {
            place,
            phase: entry.map(|it| it.phase.clone()).unwrap_or_default(),
            xid: entry.map(|it| it.xid.clone()).unwrap_or_default(),
        }
    });
    ApprovalContent {
        decision,
        gate: admitted.gate.clone(),
        approver: admitted.approver.clone(),
        signed_by: signed.map(|it| it.approver.clone()).collect(),
        comment: admitted.comment.clone(),
        admitted_by: admitted.admitted_by.clone(),
        admitted_at: spelled_out(&admitted.admitted_at),
        spent: spent.collect(),
    }
}

/// Returns `20261123070919Z` as `2026-11-23T07:09:19Z`.
fn spelled_out(compact: &str) -> String {
    let part = |from, to| compact.get(from..to);
    let all = || {
        let (date, time) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), part(8, 10)?);
        let (minute, second) = (part(10, 12)?, part(12, 14)?);
        let (year, month, day) = date;
        Some(format!("{year}-{month}-{day}T{time}:{minute}:{second}Z"))
    };
    all().unwrap_or_else(|| compact.to_owned())
}

/// Returns what came about, as one sentence.
fn sentence(outcome: &str, phases: &[PhaseContent]) -> String {
    let committed: Vec<_> = phases
        .iter()
        .filter_map(|it| it.committed.as_ref())
        .collect();
    let mut sentence = format!("{} of {} phases committed", committed.len(), phases.len());
    if let (Some(first), Some(last)) = (committed.first(), committed.last()) {
        let minute = |moment: &str| {
            moment
                .chars()
                .take(19)
                .collect::<String>()
                .replace('T', " ")
        };
        let (from, to) = (minute(&first.opened_at), minute(&last.finished_at));
        sentence.push_str(&format!(" between {from} and {to} UTC"));
        let (mut counted, mut differ) = ([0u64; 3], false);
        for row in phases.iter().flat_map(|phase| &phase.tables) {
            let kind = ["inserted", "updated", "deleted"]
                .iter()
                .position(|kind| *kind == row.kind);
            if let (Some(kind), Some(seen)) = (kind, row.seen) {
                counted[kind] = counted[kind].saturating_add(seen);
            }
            differ |= row.as_planned == Some(false);
        }
        let [inserted, updated, deleted] = counted;
        sentence.push_str(&format!(
            "; {inserted} rows inserted, {updated} updated, {deleted} deleted, {}",
            if differ {
                "NOT as planned"
            } else {
                "as planned"
            }
        ));
    }
    match outcome {
        "rejected" => sentence.push_str("; the plan was rejected"),
        "stopped" => sentence.push_str("; the run has stopped, or is still going on"),
        _ => {}
    }
    sentence.push('.');
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_spelled_out_or_left_as_it_is() {
        assert_eq!(spelled_out("20261123070919Z"), "2026-11-23T07:09:19Z");
        assert_eq!(spelled_out("ä<script>"), "ä<script>");
    }
}
