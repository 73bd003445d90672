use std::time::{Duration, SystemTime};

use super::{ParseApprovalError, UnfitKey};
use crate::base::digest::Digest;
use crate::base::files::ReadFileError;
use crate::base::printable::{Listed, Printable};
use crate::plan::Target;

/// Why a signed statement does not count. One variant for each reason, with the people and values concerned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyApprovalError {
    /// The file is not a statement.
    #[error(transparent)]
    Statement(#[from] ParseApprovalError),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The statement has no signature.
    #[error("the signature is empty")]
    NoSignature,
    /// The signature is larger than allowed.
    #[error("the signature is refused unread: {size} bytes")]
    SignatureTooLarge {
        /// The size of the signature, in bytes.
        size: usize,
    },
    /// The signature is malformed.
    #[error("the signature is not one as `ssh-keygen -Y sign` writes it")]
    NotASignature,
    /// The signing key cannot be used here.
    #[error("the key of the signature is refused: {0}")]
    Key(UnfitKey),
    /// The signature has another namespace than `phasegate`.
    #[error("the signature is one for `{found}`, and not of an approval", found = Printable(.found))]
    AnotherNamespace {
        /// The namespace of the signature.
        found: String,
    },
    /// The key is not among the allowed signers.
    #[error("it is signed with the key {fingerprint}, which no allowed signer has")]
    UnknownKey {
        /// The fingerprint of the key.
        fingerprint: String,
    },
    /// The key is revoked.
    #[error(
        "it is signed by {who} with the key {fingerprint}, which is revoked", who = Printable(.who))]
    Revoked {
        /// The owner of the key.
        who: String,
        /// The fingerprint of the key.
        fingerprint: String,
    },
    /// The allowed signers restrict the key to other namespaces.
    #[error(
        "the key of {who} may sign `{allowed}` and not approvals", allowed = Printable(.allowed), who = Printable(.who))]
    NamespaceNotAllowed {
        /// The owner of the key.
        who: String,
        /// The namespaces that the key may sign.
        allowed: String,
    },
    /// The key is not valid yet.
    #[error("the key of {who} is not valid yet", who = Printable(.who))]
    KeyNotYetValid {
        /// The owner of the key.
        who: String,
        /// When the key becomes valid.
        from: SystemTime,
    },
    /// The key has expired.
    #[error("the key of {who} is not valid any more", who = Printable(.who))]
    KeyExpired {
        /// The owner of the key.
        who: String,
        /// When the key expired.
        at: SystemTime,
    },
    /// The signature is for other bytes, or was changed.
    #[error(
        "the signature does not fit: it is not of this statement, or one of the two was changed"
    )]
    DoesNotFit {
        /// The owner of the key.
        who: String,
    },
    /// A hardware key has signed without a touch.
    #[error(
        "the hardware key of {who} has signed by itself, without a touch", who = Printable(.who))]
    NotTouched {
        /// The owner of the key.
        who: String,
    },
    /// The statement is about another plan.
    #[error("{who} has signed plan {stated}, and this is plan {plan}", who = Printable(.who))]
    AnotherPlan {
        /// The signer.
        who: String,
        /// The plan in the statement.
        stated: Digest,
        /// The plan that is to be approved.
        plan: Digest,
    },
    /// The statement is about another database.
    #[error("{who} has signed a plan for {stated}, and this is one for {planned}", who = Printable(.who))]
    AnotherTarget {
        /// The signer.
        who: String,
        /// The target in the statement.
        stated: Box<Target>,
        /// The target of the plan.
        planned: Box<Target>,
    },
    /// The statement is about a gate that the plan does not have.
    #[error("{who} has signed gate `{gate}`, and no phase of the plan is behind it", gate = Printable(.gate), who = Printable(.who))]
    AnotherGate {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
    },
    /// The statement is not valid yet.
    #[error("the statement of {who} is of {} from now", minutes(*.in_time), who = Printable(.who))]
    NotYetValid {
        /// The signer.
        who: String,
        /// The time until it becomes valid.
        in_time: Duration,
    },
    /// The statement has expired.
    #[error("the statement of {who} expired {} ago", minutes(*.since), who = Printable(.who))]
    Expired {
        /// The signer.
        who: String,
        /// The time since it expired.
        since: Duration,
    },
    /// The statement is valid for longer than the policy allows.
    #[error("the statement of {who} is good for {}, and gate `{gate}` allows {}", minutes(*.life), minutes(*.longest), gate = Printable(.gate), who = Printable(.who))]
    LivesTooLong {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
        /// The length of its validity.
        life: Duration,
        /// The longest validity that the policy allows.
        longest: Duration,
    },
    /// The policy does not have the gate.
    #[error(
        "gate `{gate}` has no policy, so it has no eligible approver", gate = Printable(.gate))]
    NoPolicy {
        /// The gate in the statement.
        gate: String,
    },
    /// The policy does not entitle the signer to approve or reject.
    #[error("{who} has signed, and is not among the approvers of gate `{gate}`: {}", Listed::new(.approvers, ", "), gate = Printable(.gate), who = Printable(.who))]
    NotEntitled {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
        /// The approvers in the policy.
        approvers: Vec<String>,
    },
    /// The signer is the plan's author, who may not approve the gate.
    #[error("{who} has made the plan or edited it last, and may not approve gate `{gate}`", gate = Printable(.gate), who = Printable(.who))]
    Author {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
    },
    /// The plan does not name its author.
    #[error(
        "{who} has signed gate `{gate}`, which the plan's author may not approve, and the plan names none", gate = Printable(.gate), who = Printable(.who))]
    NoAuthor {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
    },
    /// The plan names an author whom the allowed signers do not have.
    #[error(
        "{who} has signed gate `{gate}` and might be the plan's author `{author}`, whom the allowed signers do not name", gate = Printable(.gate), who = Printable(.who), author = Printable(.author))]
    UnknownAuthor {
        /// The signer.
        who: String,
        /// The gate in the statement.
        gate: String,
        /// The author, or the last editor, named in the plan.
        author: String,
    },
    /// There are more statements than allowed.
    #[error("there are more than {0} statements")]
    TooMany(usize),
}

impl VerifyApprovalError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            VerifyApprovalError::Statement(error) => error.code(),
            VerifyApprovalError::File(error) => error.code(),
            VerifyApprovalError::NoSignature => "signature_empty",
            VerifyApprovalError::SignatureTooLarge { .. } => "signature_too_large",
            VerifyApprovalError::NotASignature => "signature_malformed",
            VerifyApprovalError::Key(_) => "signature_key",
            VerifyApprovalError::AnotherNamespace { .. } => "signature_namespace",
            VerifyApprovalError::UnknownKey { .. } => "signed_with_unknown_key",
            VerifyApprovalError::Revoked { .. } => "signed_with_revoked_key",
            VerifyApprovalError::NamespaceNotAllowed { .. } => "signed_with_restricted_key",
            VerifyApprovalError::KeyNotYetValid { .. } => "signed_with_key_not_yet_valid",
            VerifyApprovalError::KeyExpired { .. } => "signed_with_expired_key",
            VerifyApprovalError::DoesNotFit { .. } => "signature_does_not_fit",
            VerifyApprovalError::NotTouched { .. } => "signed_without_touch",
            VerifyApprovalError::AnotherPlan { .. } => "signed_another_plan",
            VerifyApprovalError::AnotherTarget { .. } => "signed_another_target",
            VerifyApprovalError::AnotherGate { .. } => "signed_another_gate",
            VerifyApprovalError::NotYetValid { .. } => "signed_not_yet_valid",
            VerifyApprovalError::Expired { .. } => "signed_expired",
            VerifyApprovalError::LivesTooLong { .. } => "signed_for_too_long",
            VerifyApprovalError::NoPolicy { .. } => "signed_gate_without_policy",
            VerifyApprovalError::NotEntitled { .. } => "signed_by_no_approver",
            VerifyApprovalError::Author { .. } => "signed_by_author",
            VerifyApprovalError::NoAuthor { .. } => "signed_without_author",
            VerifyApprovalError::UnknownAuthor { .. } => "signed_by_unknown_author",
            VerifyApprovalError::TooMany(_) => "too_many_statements",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            VerifyApprovalError::Statement(error) => return error.hint(),
            VerifyApprovalError::File(error) => return error.hint(),
            VerifyApprovalError::Key(flaw) => return flaw.hint(),
            VerifyApprovalError::NoSignature => {
                "Sign the statement: `ssh-keygen -Y sign -n phasegate -f KEY FILE`.".to_owned()
            }
            VerifyApprovalError::NotASignature => "Take the file `.sig` unchanged.".to_owned(),
            VerifyApprovalError::AnotherNamespace { .. } => {
                "Sign with the namespace `phasegate`: `ssh-keygen -Y sign -n phasegate -f KEY FILE`.".to_owned()
            }
            VerifyApprovalError::UnknownKey { .. } => {
                "Add it to the allowed signers, if you know whose it is.".to_owned()
            }
            VerifyApprovalError::Revoked { who, .. } => format!(
                "It has to be signed with another key of {}.",
                Printable(who)
            ),
            VerifyApprovalError::NamespaceNotAllowed { .. } => {
                "Put `phasegate` into its `namespaces` in the allowed signers.".to_owned()
            }
            VerifyApprovalError::KeyNotYetValid { .. } => {
                "Look at its `valid-after` in the allowed signers.".to_owned()
            }
            VerifyApprovalError::KeyExpired { .. } => {
                "Look at its `valid-before` in the allowed signers.".to_owned()
            }
            VerifyApprovalError::DoesNotFit { who } => format!(
                "It has to be signed again by {}: `ssh-keygen -Y sign -n phasegate -f KEY FILE`.",
                Printable(who)
            ),
            VerifyApprovalError::NotTouched { .. } => {
                "Make a key that asks for a touch: `ssh-keygen -t ed25519-sk`.".to_owned()
            }
            VerifyApprovalError::AnotherPlan { .. } | VerifyApprovalError::AnotherTarget { .. } => {
                "Have a statement of this plan signed.".to_owned()
            }
            VerifyApprovalError::AnotherGate { .. } => {
                "Have a statement of a gate of this plan signed.".to_owned()
            }
            VerifyApprovalError::NotYetValid { .. } => "Wait, or set the clocks right.".to_owned(),
            VerifyApprovalError::Expired { who, .. } => {
                format!("A new statement has to be signed by {}.", Printable(who))
            }
            VerifyApprovalError::LivesTooLong { who, .. } => format!(
                "A statement that expires earlier has to be signed by {}.",
                Printable(who)
            ),
            VerifyApprovalError::NoPolicy { .. } => {
                "Write who may approve it into the policy.".to_owned()
            }
            VerifyApprovalError::Author { .. } | VerifyApprovalError::NotEntitled { .. } => {
                "Have it signed by another approver of the gate.".to_owned()
            }
            VerifyApprovalError::NoAuthor { .. } => {
                "Make a plan that names its author, or let the policy allow it: `author_may_approve`.".to_owned()
            }
            VerifyApprovalError::UnknownAuthor { .. } => {
                "Write people the same way in the plan, in the policy and in the allowed signers.".to_owned()
            }
            VerifyApprovalError::SignatureTooLarge { .. } | VerifyApprovalError::TooMany(_) => {
                return None;
            }
        })
    }
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 {
        return format!("{seconds} s");
    }
    match seconds / 60 {
        minutes @ ..120 => format!("{minutes} min"),
        minutes @ ..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}
