use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::allowed_signers::{AllowedSigners, Person};
use super::policy::{GateRule, Policy};
use super::revoked_keys::RevokedKeys;
use super::signature::{self, Signature};
use super::{StatementRefused, key, statement_file};
use crate::approval::{
    ApprovalRequest, Attestation, Authority, Decision, Denied, Evidence, SignedStatement, Statement,
};
use crate::digest::Digest;
use crate::files::{self, FileRefused};
use crate::plan::{Plan, PlannedPhase, Target};

/// How far the clocks of signers may be ahead of ours.
const CLOCKS_DIFFER_BY: Duration = Duration::from_mins(5);

/// More than anybody makes of one plan.
const MOST: usize = 1000;

/// Approvals of one plan, each signed with the SSH key of whoever gave it, and judged by a policy.
///
/// Give it the statements and their signatures, as `ssh-keygen -Y sign` leaves them; it says of each
/// why it does not count, if it does not. A gate is approved when as many different people as the
/// policy says have signed; a rejection by any approver of any of the plan's gates stops all of them.
/// Everything is judged anew each time it is asked, by the clock at that moment.
///
/// Whoever admits approvals to the database judges with it:
///
/// ```
/// use phasegate::{AllowedSigners, Operator, Plan, Policy, SignedApprovals};
///
/// fn admit(operator: &mut Operator, plan: &Plan) -> Result<(), Box<dyn std::error::Error>> {
///     let policy = Policy::read("policy.json")?;
///     let signers = AllowedSigners::read("allowed_signers")?;
///     let mut approvals = SignedApprovals::new(plan, policy, signers);
///     for refused in approvals.add_directory("approvals")? {
///         eprintln!("{refused}");
///     }
///     for rejection in approvals.rejections() {
///         operator.admit_rejection(&rejection)?;
///     }
///     for approval in approvals.attestations()? {
///         operator.admit_approval(&approval)?;
///     }
///     Ok(())
/// }
/// ```
///
/// Whoever performs the plan needs none of the files: [`AdmittedApprovals`](crate::AdmittedApprovals).
pub struct SignedApprovals {
    plan: Facts,
    policy: Policy,
    signers: AllowedSigners,
    revoked: Option<RevokedKeys>,
    given: Vec<Given>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// What is needed of the plan.
struct Facts {
    digest: Digest,
    target: Target,
    gates: Vec<String>,
    has_author: bool,
    /// Its author, and its last editor.
    authors: Vec<String>,
}

/// A statement and its signature, as they came.
struct Given {
    statement: Vec<u8>,
    signature: Vec<u8>,
}

/// A statement that was verified at some moment.
struct Judged {
    statement: Statement,
    person: Person,
    signed: SignedStatement,
    over: bool,
}

/// A statement in a directory that does not count.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct RefusedFile {
    path: PathBuf,
    #[source]
    why: StatementRefused,
}

impl RefusedFile {
    /// The statement's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it does not count.
    #[must_use]
    pub fn why(&self) -> &StatementRefused {
        &self.why
    }
}

impl SignedApprovals {
    /// Nothing is approved yet.
    #[must_use]
    pub fn new(plan: &Plan, policy: Policy, signers: AllowedSigners) -> Self {
        let mut gates: Vec<String> = Vec::new();
        for gate in plan.phases().iter().flat_map(PlannedPhase::gates) {
            if !gates.contains(gate) {
                gates.push(gate.clone());
            }
        }
        SignedApprovals {
            plan: Facts {
                digest: plan.digest(),
                target: plan.target().clone(),
                gates,
                has_author: plan.author().is_some(),
                authors: authors(plan),
            },
            policy,
            signers,
            revoked: None,
            given: Vec::new(),
            clock: Box::new(SystemTime::now),
        }
    }

    /// Keys that count no more, whatever the allowed signers say.
    #[must_use]
    pub fn revoked_keys(mut self, revoked: RevokedKeys) -> Self {
        self.revoked = Some(revoked);
        self
    }

    /// Reads the time from `clock`, for tests of what happens later.
    #[cfg(any(test, feature = "testing"))]
    #[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
    #[must_use]
    pub fn by_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Adds a statement and its signature, if they count now. Adding them again changes nothing.
    ///
    /// # Errors
    ///
    /// Why they do not count; nothing was added.
    pub fn add(&mut self, statement: &[u8], signature: &[u8]) -> Result<(), StatementRefused> {
        if self.given.len() >= MOST {
            return Err(StatementRefused::TooMany(MOST));
        }
        let now = (self.clock)();
        let given = Given {
            statement: statement.to_vec(),
            signature: signature.to_vec(),
        };
        let judged = self.judge(&given, now)?;
        if judged.over && !judged.rejects() {
            let since = now.duration_since(judged.statement.expires);
            return Err(StatementRefused::Expired {
                who: judged.signed.approver,
                since: since.unwrap_or_default(),
            });
        }
        let known = |other: &Given| other.statement == statement && other.signature == signature;
        if !self.given.iter().any(known) {
            self.given.push(given);
        }
        Ok(())
    }

    /// Adds the statement in a file, with the signature beside it, as `ssh-keygen -Y sign` leaves
    /// it: `FILE` and `FILE.sig`.
    ///
    /// # Errors
    ///
    /// As [`add`](SignedApprovals::add), or when a file is not there, or too large.
    pub fn add_file(&mut self, statement: impl AsRef<Path>) -> Result<(), StatementRefused> {
        let statement = statement.as_ref();
        let text = files::read(statement, statement_file::LARGEST)?;
        let signature = files::read(&signature_of(statement), signature::LARGEST)?;
        self.add(&text, &signature)
    }

    /// Adds every statement `*.json` of a directory that has a signature beside it. Answers those
    /// that do not count: one that cannot be read might be a rejection.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn add_directory(
        &mut self,
        directory: impl AsRef<Path>,
    ) -> Result<Vec<RefusedFile>, FileRefused> {
        let directory = directory.as_ref();
        let not_read = |source| FileRefused::NotRead {
            path: directory.to_owned(),
            source,
        };
        let mut statements = Vec::new();
        for entry in directory.read_dir().map_err(not_read)? {
            let path = entry.map_err(not_read)?.path();
            if path.extension().is_some_and(|of| of == "json") && signature_of(&path).exists() {
                statements.push(path);
            }
        }
        statements.sort();
        let mut refused = Vec::new();
        for path in statements {
            if let Err(why) = self.add_file(&path) {
                refused.push(RefusedFile { path, why });
            }
        }
        Ok(refused)
    }

    /// An attestation for each gate of the plan that is approved now, for an operator to
    /// [admit](crate::Operator::admit_approval).
    ///
    /// # Errors
    ///
    /// When somebody has rejected the plan.
    pub fn attestations(&self) -> Result<Vec<Attestation>, Denied> {
        let now = (self.clock)();
        let judged = self.judged(now);
        refuse_rejected(&judged)?;
        let gates = self.plan.gates.iter();
        let formed = gates.filter_map(|gate| self.quorum(gate, &judged).ok());
        Ok(formed
            .filter(|attestation| attestation.statement().expires > now)
            .collect())
    }

    /// What is said to one gate now: who has approved it, or who still has to. What has expired is
    /// attested to if nothing else is there: a phase that has spent it already is not performed
    /// again, and for any other the engine and the database refuse it.
    ///
    /// # Errors
    ///
    /// Why it is not approved.
    pub fn attestation(&self, gate: &str) -> Result<Attestation, Denied> {
        let judged = self.judged((self.clock)());
        refuse_rejected(&judged)?;
        self.quorum(gate, &judged)
    }

    /// What was rejected, for an operator to [admit](crate::Operator::admit_rejection). One of them
    /// is enough to stop the plan.
    #[must_use]
    pub fn rejections(&self) -> Vec<Attestation> {
        let judged = self.judged((self.clock)());
        let rejecting = judged.iter().filter(|one| one.rejects());
        rejecting.map(|one| self.attest_to(&[one])).collect()
    }

    /// Whatever of it counts at this moment, also what has expired.
    fn judged(&self, now: SystemTime) -> Vec<Judged> {
        let judged = self.given.iter().map(|given| self.judge(given, now));
        judged.filter_map(Result::ok).collect()
    }

    /// Whose statement it is, if it counts at this moment; that it has expired is for the caller.
    fn judge(&self, given: &Given, now: SystemTime) -> Result<Judged, StatementRefused> {
        let statement = Statement::from_bytes(&given.statement)?;
        let signature = Signature::parse(&given.signature)?;
        let line = self.signers.line_of(signature.key(), now)?;
        let person = line.person;
        let who = self.name_of(line.principals.as_slice(), &statement.gate);
        if self
            .revoked
            .as_ref()
            .is_some_and(|revoked| revoked.has(signature.key()))
        {
            return Err(StatementRefused::Revoked {
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
        Ok(Judged {
            over: statement.expires <= now,
            person,
            signed: SignedStatement::new(who, text, signature.text()),
            statement,
        })
    }

    /// Whether these statements, and no fewer, were enough at that moment, beside those of `others` for
    /// other gates. The error goes on from "an approval that ..".
    pub(super) fn judge_again(
        &self,
        statements: &[SignedStatement],
        others: &[&SignedStatement],
        at: SystemTime,
    ) -> Result<(), String> {
        let judge = |signed: &SignedStatement| {
            let given = Given {
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
                return Err(format!("had expired when {who}'s word was needed"));
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
        let others = others.iter().filter_map(|signed| judge(signed).ok());
        let elsewhere: Vec<Person> = others
            .filter(|one| rule.other_than().iter().any(|gate| one.approves(gate)))
            .map(|one| one.person)
            .collect();
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

    /// Of the names of a line, the one that the policy has, and otherwise the first.
    fn name_of(&self, names: &[String], gate: &str) -> String {
        let rule = self.policy.gate(gate);
        let approvers = rule.map(GateRule::approvers).unwrap_or_default();
        let known = names.iter().find(|name| approvers.contains(name));
        known.or(names.first()).cloned().unwrap_or_default()
    }

    fn refuse_others(&self, statement: &Statement, who: &str) -> Result<(), StatementRefused> {
        let who = || who.to_owned();
        if statement.plan != self.plan.digest {
            return Err(StatementRefused::AnotherPlan {
                who: who(),
                stated: statement.plan,
                plan: self.plan.digest,
            });
        }
        if statement.target != self.plan.target {
            return Err(StatementRefused::AnotherTarget {
                who: who(),
                stated: Box::new(statement.target.clone()),
                planned: Box::new(self.plan.target.clone()),
            });
        }
        if !self.plan.gates.contains(&statement.gate) {
            return Err(StatementRefused::AnotherGate {
                who: who(),
                gate: statement.gate.clone(),
            });
        }
        Ok(())
    }

    fn refuse_approval(
        &self,
        statement: &Statement,
        person: Person,
        who: &str,
        now: SystemTime,
    ) -> Result<(), StatementRefused> {
        let (who, gate) = (|| who.to_owned(), || statement.gate.clone());
        let Some(rule) = self.policy.gate(&statement.gate) else {
            return Err(StatementRefused::NoPolicy { gate: gate() });
        };
        if !self.entitles(rule, person) {
            return Err(StatementRefused::NotEntitled {
                who: who(),
                gate: gate(),
                approvers: rule.approvers().to_vec(),
            });
        }
        let early = statement.valid_from.duration_since(now).unwrap_or_default();
        if early > CLOCKS_DIFFER_BY {
            return Err(StatementRefused::NotYetValid {
                who: who(),
                in_time: early,
            });
        }
        let life = statement.expires.duration_since(statement.valid_from);
        let life = life.unwrap_or_default();
        if life > rule.life() {
            return Err(StatementRefused::LivesTooLong {
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
            return Err(StatementRefused::NoAuthor {
                who: who(),
                gate: gate(),
            });
        }
        let mut authors = self.plan.authors.iter();
        if authors.any(|author| self.signers.person(author) == Some(person)) {
            return Err(StatementRefused::Author {
                who: who(),
                gate: gate(),
            });
        }
        Ok(())
    }

    /// Whoever may approve any gate of the plan may reject it, and that lasts.
    fn refuse_rejection(
        &self,
        statement: &Statement,
        person: Person,
        who: &str,
    ) -> Result<(), StatementRefused> {
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
        Err(StatementRefused::NotEntitled {
            who: who.to_owned(),
            gate: statement.gate.clone(),
            approvers,
        })
    }

    fn entitles(&self, rule: &GateRule, person: Person) -> bool {
        let mut approvers = rule.approvers().iter();
        approvers.any(|approver| self.signers.person(approver) == Some(person))
    }

    /// The attestation of as many different people as the gate needs, those whose statements last
    /// longest. It has expired if it takes one that has.
    fn quorum(&self, gate: &str, judged: &[Judged]) -> Result<Attestation, Denied> {
        let rule = self.policy.gate(gate).ok_or_else(|| {
            Denied::new(format!(
                "gate `{gate}` has no policy, and so nobody can approve it; write who may into the policy"
            ))
        })?;
        let excluded = self.signers_of_other_gates(gate, rule, judged)?;
        // One of each person, the one that lasts longest.
        let mut people: BTreeMap<Person, &Judged> = BTreeMap::new();
        for one in judged.iter().filter(|one| one.approves(gate)) {
            if excluded.contains(&one.person) {
                continue;
            }
            let kept = people.entry(one.person).or_insert(one);
            if one.rank() > kept.rank() {
                *kept = one;
            }
        }
        let mut approving: Vec<&Judged> = people.into_values().collect();
        approving.sort_by(|one, other| other.rank().cmp(&one.rank()));
        let needs = usize::try_from(rule.needed()).unwrap_or(usize::MAX);
        if approving.len() < needs {
            return Err(self.too_few(gate, rule, &approving));
        }
        approving.truncate(needs);
        Ok(self.attest_to(&approving))
    }

    fn too_few(&self, gate: &str, rule: &GateRule, approving: &[&Judged]) -> Denied {
        let signed = |approver: &String| {
            let person = self.signers.person(approver);
            approving.iter().any(|one| Some(one.person) == person)
        };
        let open = rule.approvers().iter().filter(|approver| !signed(approver));
        let open: Vec<&str> = open.map(|approver| &**approver).collect();
        Denied::new(format!(
            "gate `{gate}` of plan {} has {} of the {} approvals that it needs; have one signed by {}",
            self.plan.digest,
            approving.len(),
            rule.needed(),
            open.join(" or ")
        ))
    }

    /// Who has signed a gate whose signers do not count for this one.
    fn signers_of_other_gates(
        &self,
        gate: &str,
        rule: &GateRule,
        judged: &[Judged],
    ) -> Result<Vec<Person>, Denied> {
        let mut excluded = Vec::new();
        let others = rule.other_than().iter();
        for other in others.filter(|other| self.plan.gates.contains(other)) {
            let before = excluded.len();
            let signing = judged.iter().filter(|one| one.approves(other));
            excluded.extend(signing.map(|one| one.person));
            if excluded.len() == before {
                return Err(Denied::new(format!(
                    "gate `{gate}` needs other people than gate `{other}`, of which no approval is here; add those too"
                )));
            }
        }
        Ok(excluded)
    }

    /// Attests to statements that say the same, of different people.
    fn attest_to(&self, statements: &[&Judged]) -> Attestation {
        let mut all = statements.iter().map(|one| &one.statement);
        let first = all.next().expect("a rule that needs nobody is refused");
        let mut statement = first.clone();
        for other in all {
            statement.expires = statement.expires.min(other.expires);
            statement.valid_from = statement.valid_from.max(other.valid_from);
        }
        if statements.len() > 1 {
            statement.nonce = nonce_of(statements);
            let comment =
                |one: &&Judged| format!("{}: {}", one.signed.approver, one.statement.comment);
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
}

impl Judged {
    fn approves(&self, gate: &str) -> bool {
        self.statement.decision == Decision::Approve && self.statement.gate == gate
    }

    fn rejects(&self) -> bool {
        self.statement.decision == Decision::Reject
    }

    /// What lasts longest counts first; which of two equal ones must not depend on who asks.
    fn rank(&self) -> (SystemTime, &str, &str) {
        let statement = &self.statement;
        (statement.expires, &statement.nonce, &self.signed.approver)
    }
}

fn refuse_rejected(judged: &[Judged]) -> Result<(), Denied> {
    match judged.iter().find(|one| one.rejects()) {
        Some(one) => Err(Denied::rejected(
            &*one.signed.approver,
            &*one.statement.comment,
        )),
        None => Ok(()),
    }
}

/// What makes this quorum this one: the same for the same statements of the same people.
fn nonce_of(statements: &[&Judged]) -> String {
    let mut each: Vec<String> = statements
        .iter()
        .map(|one| format!("{}\n{}\n", one.statement.nonce, one.signed.approver))
        .collect();
    each.sort();
    format!("quorum-{}", Digest::of(each.concat().as_bytes()))
}

/// Who made the plan and who edited it last, as far as it says so.
fn authors(plan: &Plan) -> Vec<String> {
    let both = [plan.author(), plan.last_editor()];
    both.into_iter().flatten().map(str::to_owned).collect()
}

fn signature_of(statement: &Path) -> PathBuf {
    let mut path = statement.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

impl Authority for SignedApprovals {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        if request.plan() != self.plan.digest {
            return Err(Denied::new(format!(
                "these are approvals of plan {}, and this is plan {}",
                self.plan.digest,
                request.plan()
            )));
        }
        self.attestation(request.gate())
    }
}

impl fmt::Debug for SignedApprovals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedApprovals({} statements)", self.given.len())
    }
}
