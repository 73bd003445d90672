use std::time::{Duration, SystemTime};

use super::{ParseApprovalError, UnfitKey};
use crate::base::digest::Digest;
use crate::base::files::ReadFileError;
use crate::base::printable::{Listed, Printable};
use crate::plan::Target;

/// A signed statement does not count. One variant for each reason, which says who, what, and what to do.
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
    #[error(
        "the signature is empty; sign the statement: `ssh-keygen -Y sign -n phasegate -f KEY FILE`"
    )]
    NoSignature,
    /// Its signature is larger than any is.
    #[error("the signature is refused unread: {size} bytes")]
    SignatureTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Its signature is not one.
    #[error(
        "the signature is not one as `ssh-keygen -Y sign` writes it; take the file `.sig` unchanged"
    )]
    NotASignature,
    /// It is signed with a key that cannot be verified here.
    #[error("the key of the signature is refused: {0}")]
    Key(UnfitKey),
    /// It is signed as something else.
    #[error("the signature is one for `{found}`, and not of an approval; sign with `-n phasegate`", found = Printable(.found))]
    AnotherNamespace {
        /// What it was signed as.
        found: String,
    },
    /// The allowed signers do not have the key.
    #[error(
        "it is signed with the key {fingerprint}, which is nobody's; add it to the allowed signers, if you know whose it is"
    )]
    UnknownKey {
        /// The key.
        fingerprint: String,
    },
    /// The key is revoked.
    #[error(
        "it is signed by {who} with the key {fingerprint}, which is revoked; they sign with another", who = Printable(.who))]
    Revoked {
        /// Whose key it was.
        who: String,
        /// The key.
        fingerprint: String,
    },
    /// The allowed signers let the key sign other things only.
    #[error(
        "the key of {who} may sign `{allowed}` and not approvals; put `phasegate` into its `namespaces`", allowed = Printable(.allowed), who = Printable(.who))]
    NamespaceNotAllowed {
        /// Whose key it is.
        who: String,
        /// What it may sign.
        allowed: String,
    },
    /// The key is not valid yet.
    #[error("the key of {who} is not valid yet: see `valid-after` in the allowed signers", who = Printable(.who))]
    KeyNotYetValid {
        /// Whose key it is.
        who: String,
        /// From when on.
        from: SystemTime,
    },
    /// The key is not valid any more.
    #[error("the key of {who} is not valid any more: see `valid-before` in the allowed signers", who = Printable(.who))]
    KeyExpired {
        /// Whose key it is.
        who: String,
        /// Since when.
        at: SystemTime,
    },
    /// The signature is of something else, or was changed.
    #[error(
        "the signature does not fit: it is not of this statement, or one of the two was changed. {who} signs it anew", who = Printable(.who))]
    DoesNotFit {
        /// Whose key it is.
        who: String,
    },
    /// A hardware key has signed without having been touched.
    #[error(
        "the hardware key of {who} has signed by itself, without a touch; make one that asks for it", who = Printable(.who))]
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
    #[error("the statement of {who} is of {} from now; wait, or set the clocks right", minutes(*.in_time), who = Printable(.who))]
    NotYetValid {
        /// Who has signed.
        who: String,
        /// How long until then.
        in_time: Duration,
    },
    /// It is over.
    #[error("the statement of {who} expired {} ago; they sign a new one", minutes(*.since), who = Printable(.who))]
    Expired {
        /// Who has signed.
        who: String,
        /// How long ago.
        since: Duration,
    },
    /// It is good for longer than the policy lets an approval be.
    #[error("the statement of {who} is good for {}, and gate `{gate}` allows {}; they sign one that expires earlier", minutes(*.life), minutes(*.longest), gate = Printable(.gate), who = Printable(.who))]
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
        "gate `{gate}` has no policy, and so nobody can approve it; write who may into the policy", gate = Printable(.gate))]
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
    #[error("{who} has made the plan or edited it last, and somebody else approves gate `{gate}`", gate = Printable(.gate), who = Printable(.who))]
    Author {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
    },
    /// The plan does not say who made it.
    #[error(
        "{who} has signed gate `{gate}`, which the plan's author may not approve, and the plan does not name its author; make one that does, or let the policy allow it: `author_may_approve`", gate = Printable(.gate), who = Printable(.who))]
    NoAuthor {
        /// Who has signed.
        who: String,
        /// The gate.
        gate: String,
    },
    /// The plan names an author who is unknown.
    #[error(
        "{who} has signed gate `{gate}`, which whoever made the plan may not approve; that is `{author}`, a name that the allowed signers do not have, and so it might be {who}. Write people the same way in the plan, in the policy and in the allowed signers", gate = Printable(.gate), who = Printable(.who), author = Printable(.author))]
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
