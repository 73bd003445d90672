use std::collections::BTreeMap;

use super::allowed_signers::AllowedSigners;
use super::moment;
use super::policy::Policy;
use super::revoked_keys::RevokedKeys;
use super::signed::SignedApprovals;
use crate::authority::{Evidence, SignedStatement};
use crate::plan::Plan;

impl Evidence {
    /// Verifies the signed statements again, by the rules that are stored with them, as at the admission; but at each of
    /// these moments (`20261123070919Z`), and given `all` statements that were signed, by gate.
    pub(crate) fn judge_again(
        &self,
        plan: &Plan,
        all: &BTreeMap<&str, Vec<&SignedStatement>>,
        moments: &[String],
    ) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let policy = Policy::from_json(self.policy.as_bytes()).map_err(|e| text(&e))?;
        let signers = AllowedSigners::parse(&self.allowed_signers).map_err(|e| text(&e))?;
        let mut approvals = SignedApprovals::new(plan, policy, signers);
        if let Some(revoked) = &self.revoked_keys {
            let revoked = RevokedKeys::parse(revoked).map_err(|e| text(&e))?;
            approvals = approvals.revoked_keys(revoked);
        }
        for at in moments {
            let moment = moment::from_openssh(at);
            let moment = moment.map_err(|_| format!("is of no known moment: `{at}`"))?;
            approvals.judge_again(&self.statements, all, moment)?;
        }
        Ok(())
    }
}
