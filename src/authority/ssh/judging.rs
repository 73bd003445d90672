//! Verifies single statements: which ones count, and why others do not.

use std::time::{Duration, SystemTime};

use super::VerifyApprovalError;
use super::allowed_signers::Person;
use super::key;
use super::policy::GateRule;
use super::signature::Signature;
use super::signed::SignedApprovals;
use super::verified_statement::{SignedText, VerifiedStatement};
use crate::authority::{ApprovalStatement, Decision, SignedStatement};

/// How far the clocks of signers may be ahead of this machine's.
const CLOCKS_DIFFER_BY: Duration = Duration::from_mins(5);

impl SignedApprovals {
    /// Verifies a statement at this moment, and returns it with its signer. An expired one passes, marked as expired;
    /// the caller decides about it.
    pub(super) fn judge(
        &self,
        given: &SignedText,
        now: SystemTime,
    ) -> Result<VerifiedStatement, VerifyApprovalError> {
        let statement = ApprovalStatement::from_bytes(&given.statement)?;
        let signature = Signature::parse(&given.signature)?;
        let line = self.signers.line_of(signature.key(), now)?;
        let person = line.person;
        let who = self.name_of(line.principals.as_slice(), &statement.gate);
        if self
            .revoked
            .as_ref()
            .is_some_and(|revoked| revoked.has(signature.key()))
        {
            return Err(VerifyApprovalError::Revoked {
                who,
                fingerprint: key::fingerprint(signature.key()),
            });
        }
        signature.verify(&given.statement, &who)?;
        self.refuse_others(&statement, &who)?;
        match statement.decision {
            Decision::Approve => self.refuse_approval(&statement, person, &who, now)?,
            Decision::Reject => self.refuse_rejection(&statement, person, &who)?,
        }
        let text = String::from_utf8_lossy(&given.statement);
        Ok(VerifiedStatement {
            over: statement.expires <= now,
            person,
            signed: SignedStatement::new(who, text, signature.text()),
            statement,
        })
    }

    /// Returns the name of a line that the policy has, or otherwise its first name.
    fn name_of(&self, names: &[String], gate: &str) -> String {
        let rule = self.policy.gate(gate);
        let approvers = rule.map(GateRule::approvers).unwrap_or_default();
        let known = names.iter().find(|name| approvers.contains(name));
        known.or(names.first()).cloned().unwrap_or_default()
    }

    fn refuse_others(
        &self,
        statement: &ApprovalStatement,
        who: &str,
    ) -> Result<(), VerifyApprovalError> {
        let who = || who.to_owned();
        if statement.plan != self.plan.digest {
            return Err(VerifyApprovalError::AnotherPlan {
                who: who(),
                stated: statement.plan,
                plan: self.plan.digest,
            });
        }
        if statement.target != self.plan.target {
            return Err(VerifyApprovalError::AnotherTarget {
                who: who(),
                stated: Box::new(statement.target.clone()),
                planned: Box::new(self.plan.target.clone()),
            });
        }
        if !self.plan.gates.contains(&statement.gate) {
            return Err(VerifyApprovalError::AnotherGate {
                who: who(),
                gate: statement.gate.clone(),
            });
        }
        Ok(())
    }

    fn refuse_approval(
        &self,
        statement: &ApprovalStatement,
        person: Person,
        who: &str,
        now: SystemTime,
    ) -> Result<(), VerifyApprovalError> {
        let (who, gate) = (|| who.to_owned(), || statement.gate.clone());
        let Some(rule) = self.policy.gate(&statement.gate) else {
            return Err(VerifyApprovalError::NoPolicy { gate: gate() });
        };
        if !self.entitles(rule, person) {
            return Err(VerifyApprovalError::NotEntitled {
                who: who(),
                gate: gate(),
                approvers: rule.approvers().to_vec(),
            });
        }
        let early = statement.valid_from.duration_since(now).unwrap_or_default();
        if early > CLOCKS_DIFFER_BY {
            return Err(VerifyApprovalError::NotYetValid {
                who: who(),
                in_time: early,
            });
        }
        let life = statement.expires.duration_since(statement.valid_from);
        let life = life.unwrap_or_default();
        if life > rule.life() {
            return Err(VerifyApprovalError::LivesTooLong {
                who: who(),
                gate: gate(),
                life,
                longest: rule.life(),
            });
        }
        if rule.author_counts() {
            return Ok(());
        }
        if !self.plan.has_author {
            return Err(VerifyApprovalError::NoAuthor {
                who: who(),
                gate: gate(),
            });
        }
        for author in &self.plan.authors {
            match self.signers.person(author) {
                Some(author) if author == person => {
                    return Err(VerifyApprovalError::Author {
                        who: who(),
                        gate: gate(),
                    });
                }
                Some(_) => {}
                // An unknown author might be the signer under another name.
                None => {
                    return Err(VerifyApprovalError::UnknownAuthor {
                        who: who(),
                        gate: gate(),
                        author: author.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Refuses a rejection unless its signer is an approver of any gate of the plan. A rejection does not expire.
    fn refuse_rejection(
        &self,
        statement: &ApprovalStatement,
        person: Person,
        who: &str,
    ) -> Result<(), VerifyApprovalError> {
        let rules = self
            .plan
            .gates
            .iter()
            .filter_map(|gate| self.policy.gate(gate));
        let mut approvers = Vec::new();
        for rule in rules {
            if self.entitles(rule, person) {
                return Ok(());
            }
            approvers.extend(rule.approvers().iter().cloned());
        }
        Err(VerifyApprovalError::NotEntitled {
            who: who.to_owned(),
            gate: statement.gate.clone(),
            approvers,
        })
    }

    pub(super) fn entitles(&self, rule: &GateRule, person: Person) -> bool {
        let mut approvers = rule.approvers().iter();
        approvers.any(|approver| self.signers.person(approver) == Some(person))
    }
}
