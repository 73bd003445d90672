use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::allowed_signers::AllowedSigners;
use super::demand::Demand;
use super::policy::Policy;
use super::revoked_keys::RevokedKeys;
use super::verified_statement::{SignedText, VerifiedStatement};
use super::{VerifyApprovalError, signature, statement_file};
use crate::authority::{ApprovalRequest, Attestation, Authority, Denied};
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::Printable;
use crate::plan::{Plan, PlannedPhase, Target};

/// The greatest number of statements; a plan has fewer.
const MOST: usize = 1000;

/// Approvals of one plan, each signed with the SSH key of its approver, and checked against a policy.
///
/// Add the statements and their signatures, as `ssh-keygen -Y sign` writes them; an error tells why one does not
/// count. A gate is approved when as many different people as the policy needs have signed it; a rejection by any
/// approver of any of the plan's gates stops all of them. Every call verifies everything again, by the clock at that
/// moment.
///
/// An operator uses it to decide what to admit to the database:
///
/// ```
/// use phasegate::{Plan, operator::Operator, ssh::{AllowedSigners, Policy, SignedApprovals}};
///
/// fn admit(operator: &mut Operator, plan: &Plan) -> Result<(), Box<dyn std::error::Error>> {
///     let policy = Policy::read("policy.json")?;
///     let signers = AllowedSigners::read("allowed_signers")?;
///     let mut approvals = SignedApprovals::new(plan, policy, signers);
///     for refused in approvals.add_directory("approvals")? {
///         eprintln!("{refused}");
///         if let Some(hint) = refused.hint() {
///             eprintln!("hint: {hint}");
///         }
///     }
///     for rejection in approvals.rejections() {
///         operator.admit_rejection(&rejection, std::time::Duration::from_secs(2))?;
///     }
///     for approval in approvals.attestations()? {
///         operator.admit_approval(&approval)?;
///     }
///     Ok(())
/// }
/// ```
///
/// The program that performs the plan needs none of the files: [`AdmittedApprovals`](crate::approval::AdmittedApprovals).
pub struct SignedApprovals {
    pub(super) plan: Facts,
    pub(super) policy: Policy,
    pub(super) signers: AllowedSigners,
    pub(super) revoked: Option<RevokedKeys>,
    given: Vec<SignedText>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// The facts of the plan that are needed.
pub(super) struct Facts {
    pub(super) digest: Digest,
    pub(super) target: Target,
    pub(super) gates: Vec<String>,
    pub(super) has_author: bool,
    /// The plan's author, and its last editor.
    pub(super) authors: Vec<String>,
    /// What it lacks of what the rules of the gates demand.
    pub(super) unmet: Vec<Demand>,
}

/// A statement in a directory that does not count.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", Printable(&.path.to_string_lossy()))]
pub struct RejectedApprovalFile {
    path: PathBuf,
    why: VerifyApprovalError,
}

impl RejectedApprovalFile {
    /// Returns the statement's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the stable name of the reason, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.why.code()
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.why.hint()
    }

    /// Returns why the statement does not count.
    #[must_use]
    pub fn why(&self) -> &VerifyApprovalError {
        &self.why
    }
}

impl SignedApprovals {
    /// Creates a set of approvals that is empty.
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
                unmet: policy.demands_unmet_by(plan),
            },
            policy,
            signers,
            revoked: None,
            given: Vec::new(),
            clock: Box::new(SystemTime::now),
        }
    }

    /// Sets the keys that do not count any more, even if the allowed signers list them.
    #[must_use]
    pub fn revoked_keys(mut self, revoked: RevokedKeys) -> Self {
        self.revoked = Some(revoked);
        self
    }

    /// Reads the time from `clock`, for tests.
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
    /// Returns why they do not count; then nothing was added.
    pub fn add(&mut self, statement: &[u8], signature: &[u8]) -> Result<(), VerifyApprovalError> {
        if self.given.len() >= MOST {
            return Err(VerifyApprovalError::TooMany(MOST));
        }
        let now = (self.clock)();
        let given = SignedText {
            statement: statement.to_vec(),
            signature: signature.to_vec(),
        };
        let judged = self.judge(&given, now)?;
        if judged.over && !judged.rejects() {
            let since = now.duration_since(judged.statement.expires);
            return Err(VerifyApprovalError::Expired {
                who: judged.signed.approver,
                since: since.unwrap_or_default(),
            });
        }
        let known =
            |other: &SignedText| other.statement == statement && other.signature == signature;
        if !self.given.iter().any(known) {
            self.given.push(given);
        }
        Ok(())
    }

    /// Adds the statement in a file, with the signature in `FILE.sig` beside it, as `ssh-keygen -Y sign` writes it.
    ///
    /// # Errors
    ///
    /// As [`add`](SignedApprovals::add), and if a file does not exist, or is too large.
    pub fn add_file(&mut self, statement: impl AsRef<Path>) -> Result<(), VerifyApprovalError> {
        let statement = statement.as_ref();
        let text = files::read(statement, statement_file::LARGEST)?;
        let signature = files::read(&signature_of(statement), signature::LARGEST)?;
        self.add(&text, &signature)
    }

    /// Adds every statement `*.json` of a directory that has a signature beside it. Returns those that do not count:
    /// one that cannot be read might be a rejection.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read.
    pub fn add_directory(
        &mut self,
        directory: impl AsRef<Path>,
    ) -> Result<Vec<RejectedApprovalFile>, ReadFileError> {
        let directory = directory.as_ref();
        let not_read = |error| ReadFileError::NotRead {
            path: directory.to_owned(),
            error,
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
                refused.push(RejectedApprovalFile { path, why });
            }
        }
        Ok(refused)
    }

    /// Returns an attestation for each gate of the plan that is approved now, for an operator to
    /// [admit](crate::operator::Operator::admit_approval).
    ///
    /// # Errors
    ///
    /// Returns an error if the plan was rejected.
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

    /// Returns the attestation for one gate now. An expired approval is attested only if there is no other: a phase
    /// that has spent it already is not performed again, and for any other phase the engine and the database refuse
    /// it.
    ///
    /// # Errors
    ///
    /// Returns a [`Denied`] that tells why the gate is not approved, and who can still approve it.
    pub fn attestation(&self, gate: &str) -> Result<Attestation, Denied> {
        let judged = self.judged((self.clock)());
        refuse_rejected(&judged)?;
        self.quorum(gate, &judged)
    }

    /// Returns the rejections, for an operator to [admit](crate::operator::Operator::admit_rejection). One of them is
    /// enough to stop the plan.
    #[must_use]
    pub fn rejections(&self) -> Vec<Attestation> {
        let judged = self.judged((self.clock)());
        let rejecting = judged.iter().filter(|one| one.rejects());
        rejecting.map(|one| self.attest_to(&[one])).collect()
    }

    /// Verifies each statement, and returns those that count at this moment, including expired ones.
    fn judged(&self, now: SystemTime) -> Vec<VerifiedStatement> {
        let judged = self.given.iter().map(|given| self.judge(given, now));
        judged.filter_map(Result::ok).collect()
    }
}

fn refuse_rejected(judged: &[VerifiedStatement]) -> Result<(), Denied> {
    match judged.iter().find(|one| one.rejects()) {
        Some(one) => Err(Denied::rejected(
            &*one.signed.approver,
            &*one.statement.comment,
        )),
        None => Ok(()),
    }
}

/// Returns the plan's author and last editor, as far as the plan names them.
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
