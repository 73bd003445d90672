//! What of the evidence was verified, and what was not compared.

use serde::Serialize;

use crate::base::digest::Digest;
use crate::evidence::{EvidenceBundle, EvidenceFlaw};

/// One thing that a reader would verify.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    /// `yes`, `no` or `not compared`.
    pub(super) result: &'static str,
    pub(super) detail: String,
    /// Whether the evidence alone decides it.
    #[serde(skip)]
    by_itself: bool,
}

impl Check {
    fn new(what: &'static str, result: &'static str, detail: impl Into<String>) -> Self {
        Check {
            what,
            result,
            detail: detail.into(),
            by_itself: false,
        }
    }

    /// Returns `no` if one check failed, `yes` if the evidence is verified by itself, and else `in part`.
    pub(super) fn all(checks: &[Check]) -> &'static str {
        if checks.iter().any(|check| check.result == "no") {
            return "no";
        }
        let mut by_itself = checks.iter().filter(|check| check.by_itself);
        if by_itself.all(|check| check.result == "yes") {
            "yes"
        } else {
            "in part"
        }
    }
}

/// What the reader has from elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared {
    pub(super) plan: Option<Digest>,
    pub(super) head: Option<Digest>,
    pub(super) signers: Option<(String, String)>,
}

pub(super) fn checks(bundle: &EvidenceBundle, compared: &Compared) -> Vec<Check> {
    let by_itself = [chain(bundle), records(bundle), signatures(bundle)];
    let by_itself = by_itself.into_iter().map(|check| Check {
        by_itself: true,
        ..check
    });
    let from_elsewhere = [
        digest(
            "the plan is the one that you know",
            compared.plan,
            Digest::of(&bundle.plan_bytes),
            "compare the digest of the plan with that of its approvers",
        ),
        digest(
            "the journal ends as the run did",
            compared.head,
            bundle.journal.head(),
            "compare the hash of the journal's last row with that of the runner's receipt",
        ),
        signers(bundle, compared),
    ];
    by_itself.chain(from_elsewhere).collect()
}

fn chain(bundle: &EvidenceBundle) -> Check {
    let what = "the journal's chain";
    match bundle.journal.verify() {
        Ok(rows) => Check::new(what, "yes", format!("{} rows", rows.len())),
        Err(broken) => Check::new(what, "no", broken.to_string()),
    }
}

fn records(bundle: &EvidenceBundle) -> Check {
    let what = "plan, journal and approvals agree";
    match bundle.verify() {
        Ok(()) => Check::new(what, "yes", ""),
        Err(flaw) => Check::new(what, "no", flaw.to_string()),
    }
}

fn signatures(bundle: &EvidenceBundle) -> Check {
    let what = "signatures and policies";
    let admitted = || bundle.approvals.iter().chain(&bundle.rejections);
    let signed = admitted().filter(|it| it.evidence.is_some()).count();
    let not = |why: &str| Check::new(what, "not compared", why);
    if admitted().count() == 0 {
        return not("no approval was admitted");
    }
    if signed == 0 {
        return not("no approval is signed");
    }
    if cfg!(not(feature = "ssh")) {
        return not("this program was built without the feature `ssh`");
    }
    match bundle.verify() {
        Ok(()) if signed == admitted().count() => {
            Check::new(what, "yes", format!("{signed} approvals and rejections"))
        }
        Ok(()) => not("an approval is not signed"),
        Err(flaw @ EvidenceFlaw::Admitted { .. }) => Check::new(what, "no", flaw.to_string()),
        Err(_) => not("the records before them do not agree"),
    }
}

fn digest(what: &'static str, known: Option<Digest>, found: Digest, how: &str) -> Check {
    match known {
        None => Check::new(what, "not compared", how),
        Some(known) if known == found => Check::new(what, "yes", found.to_string()),
        Some(known) => Check::new(what, "no", format!("it is {found}, and you know {known}")),
    }
}

fn signers(bundle: &EvidenceBundle, compared: &Compared) -> Check {
    let what = "the signers are those that you trust";
    let Some((name, content)) = &compared.signers else {
        let how = "compare the file of allowed signers with your own";
        return Check::new(what, "not compared", how);
    };
    let admitted = bundle.approvals.iter().chain(&bundle.rejections);
    let mut files = admitted.filter_map(|it| it.evidence.as_ref()).peekable();
    if files.peek().is_none() {
        return Check::new(what, "not compared", "no approval is signed");
    }
    if files.all(|evidence| evidence.allowed_signers == *content) {
        Check::new(what, "yes", name)
    } else {
        let why = format!("an approval was verified by another file than {name}");
        Check::new(what, "no", why)
    }
}
