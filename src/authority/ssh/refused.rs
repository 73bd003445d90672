use std::time::{Duration, SystemTime};

use super::{ParseApprovalError, UnfitKey};
use crate::base::digest::Digest;
use crate::base::files::ReadFileError;
use crate::base::printable::{Listed, Printable};
use crate::plan::Target;

/// A signed statement does not count. One variant for each reason, which says who and what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyApprovalError {
    /// It is not a statement.
    #[error(transparent)]
    Statement(#[from] ParseApprovalError),
    /// A file was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// It is not signed.
    #[error("the signature is empty")]
    NoSignature,
    /// Its signature is larger than any is.
    #[error("the signature is refused unread: {size} bytes")]
    SignatureTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Its signature is not one.
    #[error("the signature is not one as `ssh-keygen -Y sign` writes it")]
    NotASignature,
    /// It is signed with a key that cannot be verified here.
    #[error("the key of the signature is refused: {0}")]
    Key(UnfitKey),
    /// It is signed as something else.
    #[error("the signature is one for `{found}`, and not of an approval", found = Printable(.found))]
    AnotherNamespace {
        /// What it was signed as.
        found: String,
    },
    /// The allowed signers do not have the key.
    #[error("it is signed with the key {fingerprint}, which is nobody's")]
    UnknownKey {
        /// The key.
        fingerprint: String,
    },
    /// The key is revoked.
    #[error(
        "it is signed by {who} with the key {fingerprint}, which is revoked", who = Printable(.who))]
    Revoked {
        /// Whose key it was.
        who: String,
        /// The key.
        fingerprint: String,
    },
    /// The allowed signers let the key sign other things only.
    #[error(
        "the key of {who} may sign `{allowed}` and not approvals", allowed = Printable(.allowed), who = Printable(.who))]
    NamespaceNotAllowed {
        /// Whose key it is.
        who: String,
        /// What it may sign.
        allowed: String,
    },
    /// The key is not valid yet.
    #[error("the key of {who} is not valid yet", who = Printable(.who))]
    KeyNotYetValid {
        /// Whose key it is.
        who: String,
        /// From when on.
        from: SystemTime,
    },
    /// The key is not valid any more.
    #[error("the key of {who} is not valid any more", who = Printable(.who))]
    KeyExpired {
        /// Whose key it is.
        who: String,
        /// Since when.
        at: SystemTime,
    },
    /// The signature is of something else, or was changed.
    #[error(
        "the signature does not fit: it is not of this statement, or one of the two was changed"
    )]
    DoesNotFit {
        /// Whose key it is.
        who: String,
    },
    /// A hardware key has signed without having been touched.
    #[error(
        "the hardware key of {who} has signed by itself, without a touch", who = Printable(.who))]
    NotTouched {
        /// Whose key it is.
        who: String,
    },
    /// It is about another plan.
    #[error("{who} has signed plan {stated}, and this is plan {plan}", who = Printable(.who))]
    AnotherPlan {
        /// Who has signed.
        who: String,
        /// The plan that they have signed.
        stated: Digest,
        /// This plan.
        plan: Digest,
    },
    /// It is about another database.
    #[error("{who} has signed a plan for {stated}, and this is one for {planned}", who = Printable(.who))]
    AnotherTarget {
        /// Who has signed.
        who: String,
        /// The target that they have signed.
        stated: Box<Target>,
        /// The target of the plan.
        planned: Box<Target>,
    },
    /// It is about a gate that the plan does not have.
    #[error("{who} has signed gate `{gate}`, and no phase of the plan is behind it", gate = Printable(.gate), who = Printable(.who))]
    AnotherGate {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
    },
    /// It means nothing yet.
    #[error("the statement of {who} is of {} from now", minutes(*.in_time), who = Printable(.who))]
    NotYetValid {
        /// Who has signed.
        who: String,
        /// How long until then.
        in_time: Duration,
    },
    /// It is over.
    #[error("the statement of {who} expired {} ago", minutes(*.since), who = Printable(.who))]
    Expired {
        /// Who has signed.
        who: String,
        /// How long ago.
        since: Duration,
    },
    /// It is good for longer than the policy lets an approval be.
    #[error("the statement of {who} is good for {}, and gate `{gate}` allows {}", minutes(*.life), minutes(*.longest), gate = Printable(.gate), who = Printable(.who))]
    LivesTooLong {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
        /// How long it is good for.
        life: Duration,
        /// How long it may be.
        longest: Duration,
    },
    /// The policy does not have the gate.
    #[error(
        "gate `{gate}` has no policy, and so nobody can approve it", gate = Printable(.gate))]
    NoPolicy {
        /// The gate.
        gate: String,
    },
    /// The signer may not approve or reject it.
    #[error("{who} has signed, and is not among the approvers of gate `{gate}`: {}", Listed::new(.approvers, ", "), gate = Printable(.gate), who = Printable(.who))]
    NotEntitled {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
        /// Who may.
        approvers: Vec<String>,
    },
    /// The author of the plan does not approve it.
    #[error("{who} has made the plan or edited it last, and may not approve gate `{gate}`", gate = Printable(.gate), who = Printable(.who))]
    Author {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
    },
    /// The plan does not say who made it.
    #[error(
        "{who} has signed gate `{gate}`, which the plan's author may not approve, and the plan names none", gate = Printable(.gate), who = Printable(.who))]
    NoAuthor {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
    },
    /// The plan names an author who is unknown.
    #[error(
        "{who} has signed gate `{gate}` and might be the plan's author `{author}`, whom the allowed signers do not name", gate = Printable(.gate), who = Printable(.who), author = Printable(.author))]
    UnknownAuthor {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
        /// The author, or the last editor, as the plan has it.
        author: String,
    },
    /// There are more statements than a plan has.
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
