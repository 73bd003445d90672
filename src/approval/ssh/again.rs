use std::collections::BTreeSet;

use super::allowed_signers::AllowedSigners;
use super::policy::Policy;
use super::revoked_keys::RevokedKeys;
use super::signature::Signature;
use super::{StatementRefused, key, moment};
use crate::approval::{Decision, Evidence, Statement};

impl Evidence {
    /// Judges once more what was signed, by the rules that are kept with it: whether these people
    /// have signed it, with keys that counted `at` that moment (`20261123070919Z`), and were enough
    /// for the gate.
    pub(crate) fn judge_again(&self, at: &str) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let at = moment::from_openssh(at).map_err(|_| format!("is of no known moment: `{at}`"))?;
        let policy = Policy::from_json(self.policy.as_bytes()).map_err(|e| text(&e))?;
        let signers = AllowedSigners::parse(&self.allowed_signers).map_err(|e| text(&e))?;
        let revoked = self.revoked_keys.as_deref().map(RevokedKeys::parse);
        let revoked = revoked.transpose().map_err(|e| text(&e))?;
        let mut approving = BTreeSet::new();
        let mut needed = 0;
        for signed in &self.statements {
            let who = &signed.approver;
            let statement = signed.statement.as_bytes();
            let said = Statement::from_bytes(statement).map_err(|e| text(&e))?;
            let verified = || -> Result<_, StatementRefused> {
                let signature = Signature::parse(signed.signature.as_bytes())?;
                let line = signers.line_of(signature.key(), at)?;
                let revoked = revoked.as_ref();
                if revoked.is_some_and(|revoked| revoked.has(signature.key())) {
                    return Err(StatementRefused::Revoked {
                        who: who.clone(),
                        fingerprint: key::fingerprint(signature.key()),
                    });
                }
                signature.verify(statement, who)?;
                Ok(line)
            };
            let line = verified().map_err(|e| text(&e))?;
            if !line.principals.contains(who) {
                let whose = line.principals.join(", ");
                return Err(format!("is said to be signed by {who}, and was by {whose}"));
            }
            if said.decision == Decision::Reject {
                continue;
            }
            let rule = policy.gate(&said.gate);
            let rule =
                rule.ok_or_else(|| format!("is of gate `{}`, which has no policy", said.gate))?;
            let mut approvers = rule.approvers().iter();
            if !approvers.any(|name| signers.person(name) == Some(line.person)) {
                return Err(format!(
                    "is signed by {who}, who may not approve gate `{}`",
                    said.gate
                ));
            }
            approving.insert(line.person);
            needed = rule.needed() as usize;
        }
        if approving.len() < needed {
            return Err(format!(
                "is signed by {} people, and it takes {needed}",
                approving.len()
            ));
        }
        Ok(())
    }
}
