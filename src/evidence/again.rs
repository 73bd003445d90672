//! The signed statements of a bundle, judged again by the rules that are stored with them.

use std::collections::BTreeMap;

use super::EvidenceBundle;
use super::bundle::Admitted;
use crate::authority::SignedStatement;
use crate::plan::{Plan, PlanError};

/// What all approvals of a bundle are judged with.
pub(super) struct Again<'b> {
    bundle: &'b EvidenceBundle,
    plan: Result<Plan, PlanError>,
    /// The statements of the approvals, by gate.
    statements: BTreeMap<&'b str, Vec<&'b SignedStatement>>,
}

impl<'b> Again<'b> {
    pub(super) fn of(bundle: &'b EvidenceBundle) -> Self {
        let mut statements: BTreeMap<&str, Vec<&SignedStatement>> = BTreeMap::new();
        for admitted in &bundle.approvals {
            let signed = admitted.evidence.iter().flat_map(|e| &e.statements);
            statements.entry(&admitted.gate).or_default().extend(signed);
        }
        Again {
            bundle,
            plan: Plan::from_saved(&bundle.plan_bytes, bundle.plan),
            statements,
        }
    }

    /// Checks that the signed statements were valid at each moment at which the approval was spent, or, if it was
    /// never spent, when it was admitted.
    pub(super) fn judge(&self, admitted: &Admitted) -> Result<(), String> {
        let Some(evidence) = &admitted.evidence else {
            return Ok(());
        };
        let plan = self.plan.as_ref();
        let plan = plan.map_err(|error| format!("cannot be judged again: {error}"))?;
        let moments = if admitted.spent.is_empty() {
            vec![admitted.admitted_at.clone()]
        } else {
            let places = admitted.spent.iter();
            places.map(|&place| self.bundle.opened_at(place)).collect()
        };
        evidence.judge_again(plan, &self.statements, &moments)
    }
}
