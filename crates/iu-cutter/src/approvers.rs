//! Who approves: people with SSH keys of their own, in a directory that is gone afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use phasegate::testing::SshSigner;
use phasegate::{
    Gate, Plan, Sg1, Sg2,
    approval::ApprovalStatement,
    ssh::{AllowedSigners, GateRule, NAMESPACE, Policy, SignedApprovals},
};
use tempfile::TempDir;

/// Makes the plans, and may approve what others have made.
pub const SCRIBE: &str = "scribe@town.example";
pub const CLERK: &str = "clerk@town.example";
pub const COUNCIL: &str = "council@town.example";

const HOUR: Duration = Duration::from_hours(1);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The approvers, their keys, and the policy that says what it takes.
pub struct Approvers {
    directory: TempDir,
    hand: Hand,
    signers: AllowedSigners,
    policy: Policy,
}

/// Who holds the pen.
enum Hand {
    /// `ssh-keygen -Y sign`, with a key file for each of them.
    SshKeygen,
    /// The library's own signer, where there is no `ssh-keygen`.
    Library(Vec<SshSigner>),
}

impl Approvers {
    /// Makes a key for each of them in `directory`, and writes who they are.
    pub fn with_new_keys(directory: TempDir) -> Outcome<Self> {
        let people = [SCRIBE, CLERK, COUNCIL];
        let (hand, lines) = if there_is_ssh_keygen() {
            let line = |person: &&str| -> Outcome<String> {
                let key = directory.path().join(person);
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", person, "-f"])
                    .arg(&key)
                    .status()?;
                if !made.success() {
                    return Err(format!("ssh-keygen made no key for {person}: {made}").into());
                }
                let public = fs::read_to_string(directory.path().join(format!("{person}.pub")))?;
                Ok(format!("{person} namespaces=\"{NAMESPACE}\" {public}"))
            };
            let lines = people.iter().map(line).collect::<Outcome<String>>()?;
            (Hand::SshKeygen, lines)
        } else {
            let signers: Vec<_> = people.into_iter().map(SshSigner::new).collect();
            let lines = signers.iter().map(SshSigner::allowed_signers_line);
            let lines = lines.collect();
            (Hand::Library(signers), lines)
        };
        let policy = Policy::builder()
            .gate::<Sg1>(GateRule::of([CLERK, SCRIBE]).longest_life(24 * HOUR))
            .gate::<Sg2>(
                GateRule::of([CLERK, COUNCIL])
                    .longest_life(24 * HOUR)
                    .other_people_than::<Sg1>(),
            )
            .build()?;
        Ok(Approvers {
            signers: AllowedSigners::parse(&lines)?,
            directory,
            hand,
            policy,
        })
    }

    /// What they sign with.
    pub fn tool(&self) -> &'static str {
        match self.hand {
            Hand::SshKeygen => "ssh-keygen -Y sign",
            Hand::Library(_) => "the library's own signer (there is no ssh-keygen here)",
        }
    }

    pub fn by_ssh_keygen(&self) -> bool {
        matches!(self.hand, Hand::SshKeygen)
    }

    /// No approvals of this plan yet.
    pub fn none(&self, plan: &Plan) -> SignedApprovals {
        SignedApprovals::new(plan, self.policy.clone(), self.signers.clone())
    }

    /// The approvals that this plan needs: the clerk's, and the council's.
    pub fn both(&self, plan: &Plan) -> Outcome<SignedApprovals> {
        let mut approvals = self.none(plan);
        for (person, statement) in [
            (CLERK, approval::<Sg1>(plan, "the cut may be written")?),
            (
                COUNCIL,
                approval::<Sg2>(plan, "the units may come into force")?,
            ),
        ] {
            approvals.add_file(self.signed_by(person, &statement)?)?;
        }
        Ok(approvals)
    }

    /// Has an approver sign a statement, and returns its file; the signature is in a file beside it.
    pub fn signed_by(&self, person: &str, statement: &ApprovalStatement) -> Outcome<PathBuf> {
        let path = self
            .directory
            .path()
            .join(format!("{}.json", statement.nonce));
        statement.save(&path)?;
        match &self.hand {
            Hand::SshKeygen => {
                let signed = Command::new("ssh-keygen")
                    .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
                    .arg(self.directory.path().join(person))
                    .arg(&path)
                    .stderr(Stdio::null())
                    .status()?;
                if !signed.success() {
                    return Err(format!("ssh-keygen signed nothing for {person}: {signed}").into());
                }
            }
            Hand::Library(signers) => {
                let signer = signers.iter().find(|signer| signer.name() == person);
                let signer = signer.ok_or_else(|| format!("{person} has no key"))?;
                let (_, signature) = signer.sign(statement)?;
                fs::write(path.with_extension("json.sig"), signature)?;
            }
        }
        Ok(path)
    }
}

/// What an approver is asked to sign.
pub fn approval<G: Gate>(plan: &Plan, comment: &str) -> Outcome<ApprovalStatement> {
    let statement = ApprovalStatement::for_gate::<G>(plan)
        .lasting(HOUR)
        .comment(comment);
    Ok(statement.build()?)
}

/// Returns the statement that rejects the plan.
pub fn rejection<G: Gate>(plan: &Plan, comment: &str) -> Outcome<ApprovalStatement> {
    let statement = ApprovalStatement::for_gate::<G>(plan)
        .rejecting()
        .lasting(HOUR)
        .comment(comment);
    Ok(statement.build()?)
}

fn there_is_ssh_keygen() -> bool {
    Command::new("ssh-keygen")
        .arg("-?")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}
