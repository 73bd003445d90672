use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::EvidenceBundle;
#[cfg(feature = "ssh")]
use super::again::Again;
use super::bundle::{Admitted, PhaseText};
use crate::authority::{Evidence, EvidenceDigests};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::database::{BrokenChain, JournalEntry, SpentApproval};

/// The evidence is inconsistent. One variant for each part in which a flaw is found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceFlaw {
    /// The plan does not have this digest.
    #[error("the plan's digest is {found}, and the run is of plan {plan}")]
    AnotherPlan {
        /// The digest of the plan that was run.
        plan: Digest,
        /// The digest of the stored plan.
        found: Digest,
    },
    /// The journal's chain is broken.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A row of the journal differs from the plan, or from the approvals that it has spent.
    #[error("row {place} of the journal {why}", why = Printable(.why))]
    Row {
        /// The place of the row, counted from 1.
        place: u32,
        /// What is wrong.
        why: String,
    },
    /// An admitted approval differs from its signed statements.
    #[error("the approval or rejection with nonce `{nonce}` {why}", nonce = Printable(.nonce), why = Printable(.why))]
    Admitted {
        /// The nonce of the approval.
        nonce: String,
        /// What is wrong.
        why: String,
    },
}

impl EvidenceFlaw {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EvidenceFlaw::AnotherPlan { .. } => "evidence_flaw_plan",
            EvidenceFlaw::Chain(broken) => broken.code(),
            EvidenceFlaw::Row { .. } => "evidence_flaw_row",
            EvidenceFlaw::Admitted { .. } => "evidence_flaw_admitted",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            EvidenceFlaw::Chain(broken) => broken.hint(),
            EvidenceFlaw::AnotherPlan { .. }
            | EvidenceFlaw::Row { .. }
            | EvidenceFlaw::Admitted { .. } => Some(NO_EVIDENCE.to_owned()),
        }
    }
}

const NO_EVIDENCE: &str = "Collect the evidence from the database again. If it has the same flaw, compare the database with a backup.";

impl EvidenceBundle {
    /// Checks that the evidence is consistent: the plan has its digest, the journal its chain; each row matches the
    /// plan; each approval that a row has spent matches the gate, the admitted approval, and the signed statements.
    /// With the feature `ssh`, every signature is verified and every policy is applied again, as at the admission: who
    /// may approve, how many people, not the author, for how long, other people than at other gates.
    ///
    /// # Errors
    ///
    /// Returns the first flaw that is found.
    pub fn verify(&self) -> Result<(), EvidenceFlaw> {
        let found = Digest::of(&self.plan_bytes);
        if found != self.plan {
            let plan = self.plan;
            return Err(EvidenceFlaw::AnotherPlan { plan, found });
        }
        let entries = self.journal.verify()?;
        let approvals = self.approvals.iter().map(|admitted| {
            let known = KnownApproval::of(admitted);
            (&*admitted.nonce, known)
        });
        let approvals: BTreeMap<&str, KnownApproval<'_>> = approvals.collect();
        for entry in &entries {
            let checked = self.check_row(entry, &approvals);
            checked.map_err(|why| EvidenceFlaw::Row {
                place: entry.place,
                why,
            })?;
        }
        #[cfg(feature = "ssh")]
        let again = Again::of(self);
        let all = self.approvals.iter().map(|a| (a, "approve"));
        for (admitted, decision) in all.chain(self.rejections.iter().map(|r| (r, "reject"))) {
            let nonce = || admitted.nonce.clone();
            let flaw = |why: String| EvidenceFlaw::Admitted {
                nonce: nonce(),
                why,
            };
            let rows = entries.len();
            let in_journal = |place: &i32| usize::try_from(*place).is_ok_and(|place| place <= rows);
            if let Some(place) = admitted.spent.iter().find(|place| !in_journal(place)) {
                return Err(flaw(format!(
                    "was spent by the phase at place {place}, which the journal does not have"
                )));
            }
            check_statements(self.plan, admitted, decision).map_err(flaw)?;
            #[cfg(feature = "ssh")]
            again.judge(admitted).map_err(flaw)?;
        }
        Ok(())
    }

    fn check_row(
        &self,
        entry: &JournalEntry,
        approvals: &BTreeMap<&str, KnownApproval<'_>>,
    ) -> Result<(), String> {
        let place = usize::try_from(entry.place).unwrap_or_default();
        let planned = place
            .checked_sub(1)
            .and_then(|at| self.planned.phases.get(at));
        let Some(PhaseText { name, gates, input }) = planned else {
            return Err("is of a phase that the plan does not have".to_owned());
        };
        let target = &self.planned.target;
        let same = [
            ("phase", &entry.phase == name),
            ("input", &entry.input == input),
            ("pipeline", entry.pipeline == self.planned.pipeline),
            (
                "cluster",
                entry.system_identifier == target.system_identifier(),
            ),
            ("database", entry.database == target.database()),
            ("role", entry.role == target.role()),
        ];
        if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
            return Err(format!("has another {what} than the plan"));
        }
        let spent: Vec<&String> = entry.approvals.iter().map(|a| &a.gate).collect();
        if spent != gates.iter().collect::<Vec<_>>() {
            return Err(format!(
                "has spent approvals of {spent:?}, and the phase is behind {gates:?}"
            ));
        }
        for approval in &entry.approvals {
            let known = approvals.get(&*approval.nonce);
            let known = known.ok_or_else(|| "was never admitted".to_owned());
            known
                .and_then(|known| known.check_spent(entry, approval))
                .map_err(|why| {
                    format!(
                        "has spent an approval of gate `{}` that {why}",
                        approval.gate
                    )
                })?;
        }
        Ok(())
    }
}

/// An admitted approval, with what each row that has spent it is compared with.
struct KnownApproval<'b> {
    admitted: &'b Admitted,
    spent: BTreeSet<i32>,
    digests: Option<EvidenceDigests>,
}

impl<'b> KnownApproval<'b> {
    fn of(admitted: &'b Admitted) -> Self {
        KnownApproval {
            admitted,
            spent: admitted.spent.iter().copied().collect(),
            digests: admitted.evidence.as_ref().map(Evidence::digests),
        }
    }

    fn check_spent(&self, entry: &JournalEntry, approval: &SpentApproval) -> Result<(), String> {
        let admitted = self.admitted;
        let place = i32::try_from(entry.place).unwrap_or_default();
        if (&admitted.gate, &admitted.approver) != (&approval.gate, &approval.approver)
            || !self.spent.contains(&place)
        {
            return Err("is not as it was admitted".to_owned());
        }
        // Both are in UTC, and so in the order of their texts; compared to the second.
        let second = |moment: &str| moment.chars().take(19).collect::<String>();
        if second(&approval.expires) < second(&entry.opened_at) {
            return Err(format!(
                "was over at {}, before the phase was opened",
                approval.expires
            ));
        }
        if approval.digests != self.digests {
            return Err("has other digests than what was signed".to_owned());
        }
        Ok(())
    }
}

/// Checks that the signed statements say what was admitted.
fn check_statements(plan: Digest, admitted: &Admitted, decision: &str) -> Result<(), String> {
    let Some(evidence) = &admitted.evidence else {
        return Ok(());
    };
    if evidence.statements.is_empty() {
        return Err("has evidence without a statement".to_owned());
    }
    let mut people = BTreeSet::new();
    for signed in &evidence.statements {
        let who = &signed.approver;
        let said: Value = serde_json::from_str(&signed.statement)
            .map_err(|_| format!("has a statement of {who} that is not JSON"))?;
        let expected = [
            ("schema", json!("phasegate/statement/1")),
            ("plan", json!(plan)),
            ("decision", json!(decision)),
            ("gate", json!(admitted.gate)),
        ];
        if let Some((what, _)) = expected.iter().find(|(what, value)| said[*what] != *value) {
            return Err(format!(
                "has a statement of {who} with another {what}: {}",
                said[*what]
            ));
        }
        people.insert(who);
    }
    if people.len() < evidence.statements.len() {
        return Err("has two statements of one person".to_owned());
    }
    Ok(())
}
