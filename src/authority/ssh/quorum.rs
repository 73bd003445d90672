//! Decides whether enough different people have approved a gate.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::allowed_signers::Person;
use super::demand::Demand;
use super::policy::GateRule;
use super::signed::SignedApprovals;
use super::verified_statement::{SignedText, VerifiedStatement};
use crate::authority::{Attestation, Denied, Evidence, SignedStatement};
use crate::base::digest::Digest;

impl SignedApprovals {
    /// Returns an attestation by as many different people as the gate needs, choosing those whose statements last
    /// longest. The attestation has expired if one of the chosen statements has.
    pub(super) fn quorum(
        &self,
        gate: &str,
        judged: &[VerifiedStatement],
    ) -> Result<Attestation, Denied> {
        let rule = self.policy.gate(gate).ok_or_else(|| {
            let denied = format!("gate `{gate}` has no policy, so it has no eligible approver");
            Denied::new(denied).with_hint("Write who may approve it into the policy.")
        })?;
        let unmet = |demand: &&Demand| self.plan.unmet.contains(demand);
        if let Some(demand) = rule.demanded().iter().find(unmet) {
            let denied = Denied::new(format!(
                "gate `{gate}` demands {demand}, and plan {} has not",
                self.plan.digest
            ));
            return Err(denied.with_hint(demand.remedy()));
        }
        let excluded = self.signers_of_other_gates(gate, rule, judged)?;
        // The longest lasting statement of each person.
        let mut people: BTreeMap<Person, &VerifiedStatement> = BTreeMap::new();
        for one in judged.iter().filter(|one| one.approves(gate)) {
            if excluded.contains(&one.person) {
                continue;
            }
            let kept = people.entry(one.person).or_insert(one);
            if one.rank() > kept.rank() {
                *kept = one;
            }
        }
        let mut approving: Vec<&VerifiedStatement> = people.into_values().collect();
        approving.sort_by(|one, other| other.rank().cmp(&one.rank()));
        let needs = usize::try_from(rule.needed()).unwrap_or(usize::MAX);
        if approving.len() < needs {
            return Err(self.too_few(gate, rule, &approving, &excluded));
        }
        approving.truncate(needs);
        Ok(self.attest_to(&approving))
    }

    fn too_few(
        &self,
        gate: &str,
        rule: &GateRule,
        approving: &[&VerifiedStatement],
        excluded: &[Person],
    ) -> Denied {
        let signed = |approver: &String| {
            let person = self.signers.person(approver);
            approving.iter().any(|one| Some(one.person) == person)
        };
        let author = |approver: &String| {
            let person = self.signers.person(approver);
            let mut authors = self.plan.authors.iter();
            !rule.author_counts() && authors.any(|author| self.signers.person(author) == person)
        };
        let elsewhere = |approver: &&String| {
            let person = self.signers.person(approver);
            person.is_some_and(|person| excluded.contains(&person))
        };
        let open = rule.approvers().iter();
        let open = open.filter(|approver| !signed(approver) && !author(approver));
        let (elsewhere, open): (Vec<&String>, Vec<&String>) = open.partition(elsewhere);
        let names = |of: &[&String], by: &str| {
            let names: Vec<&str> = of.iter().map(|approver| &***approver).collect();
            names.join(by)
        };
        let none_left = if open.is_empty() {
            "; no approver is left who could sign one"
        } else {
            ""
        };
        let why_not = match &*elsewhere {
            [] => String::new(),
            [one] => format!("; {one} has signed another gate, and does not count for this one"),
            all => format!(
                "; {} have signed another gate, and do not count for this one",
                names(all, " and ")
            ),
        };
        let denied = Denied::new(format!(
            "gate `{gate}` of plan {} has {} of the {} approvals that it needs{none_left}{why_not}",
            self.plan.digest,
            approving.len(),
            rule.needed(),
        ));
        match &*open {
            [] => denied,
            open => denied.with_hint(format!("Have one signed by {}.", names(open, " or "))),
        }
    }

    /// Returns the people who have signed a gate whose signers do not count for this one.
    fn signers_of_other_gates(
        &self,
        gate: &str,
        rule: &GateRule,
        judged: &[VerifiedStatement],
    ) -> Result<Vec<Person>, Denied> {
        let mut excluded = Vec::new();
        let others = rule.other_than().iter();
        for other in others.filter(|other| self.plan.gates.contains(other)) {
            let before = excluded.len();
            let signing = judged.iter().filter(|one| one.approves(other));
            excluded.extend(signing.map(|one| one.person));
            if excluded.len() == before {
                let denied = Denied::new(format!(
                    "gate `{gate}` needs other people than gate `{other}`, of which no approval is here"
                ));
                return Err(denied.with_hint(format!("Add the approvals of gate `{other}` too.")));
            }
        }
        Ok(excluded)
    }

    /// Attests to statements of the same content, by different people.
    pub(super) fn attest_to(&self, statements: &[&VerifiedStatement]) -> Attestation {
        let mut all = statements.iter().map(|one| &one.statement);
        let first = all.next().expect("a rule that needs no person is refused");
        let mut statement = first.clone();
        for other in all {
            statement.expires = statement.expires.min(other.expires);
            statement.valid_from = statement.valid_from.max(other.valid_from);
        }
        if statements.len() > 1 {
            statement.nonce = nonce_of(statements);
            let comment = |one: &&VerifiedStatement| {
                format!("{}: {}", one.signed.approver, one.statement.comment)
            };
            statement.comment = statements
                .iter()
                .map(comment)
                .collect::<Vec<_>>()
                .join("; ");
        }
        let people: Vec<&str> = statements.iter().map(|one| &*one.signed.approver).collect();
        let people = people.join(", ");
        let signed = statements.iter().map(|one| one.signed.clone());
        let revoked = self
            .revoked
            .as_ref()
            .map(|revoked| revoked.text().to_owned());
        let evidence = Evidence::new(
            self.policy.to_json(),
            self.signers.text(),
            revoked,
            signed.collect(),
        );
        Attestation::assert_verified(statement, people).with_evidence(evidence)
    }

    /// Checks whether these statements, all of them, were enough at that moment, given `all` statements by gate. The error text continues "an approval that ..".
    pub(super) fn judge_again(
        &self,
        statements: &[SignedStatement],
        all: &BTreeMap<&str, Vec<&SignedStatement>>,
        at: SystemTime,
    ) -> Result<(), String> {
        let judge = |signed: &SignedStatement| {
            let given = SignedText {
                statement: signed.statement.as_bytes().to_vec(),
                signature: signed.signature.as_bytes().to_vec(),
            };
            self.judge(&given, at)
        };
        let mut people = BTreeMap::new();
        for signed in statements {
            let one = judge(signed).map_err(|why| format!("does not count: {why}"))?;
            let (said, who) = (&signed.approver, &one.signed.approver);
            if who != said {
                return Err(format!("is said to be signed by {said}, and was by {who}"));
            }
            if one.rejects() {
                continue;
            }
            if one.over {
                return Err(format!("had expired when {who}'s statement was needed"));
            }
            people.insert(one.person, one);
        }
        let Some(gate) = people.values().next().map(|one| &*one.statement.gate) else {
            return Ok(());
        };
        let rule = self
            .policy
            .gate(gate)
            .ok_or_else(|| format!("is of gate `{gate}`, which has no policy"))?;
        let mut elsewhere = Vec::new();
        for other in rule.other_than() {
            let signed = all.get(&**other).into_iter().flatten();
            let judged = signed.filter_map(|signed| judge(signed).ok());
            let approving = judged.filter(|one| one.approves(other));
            elsewhere.extend(approving.map(|one| one.person));
        }
        let counted = people.values().filter(|one| one.approves(gate));
        let counted = counted.filter(|one| !elsewhere.contains(&one.person));
        let (counted, needs) = (counted.count(), rule.needed());
        if u32::try_from(counted).unwrap_or(u32::MAX) < needs {
            return Err(format!(
                "is signed by {counted} people who count for gate `{gate}`, and it takes {needs}"
            ));
        }
        Ok(())
    }
}

/// Returns the nonce of a quorum: the same for the same statements of the same people.
fn nonce_of(statements: &[&VerifiedStatement]) -> String {
    let mut each: Vec<String> = statements
        .iter()
        .map(|one| format!("{}\n{}\n", one.statement.nonce, one.signed.approver))
        .collect();
    each.sort();
    format!("quorum-{}", Digest::of(each.concat().as_bytes()))
}
