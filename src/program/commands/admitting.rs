//! `admit`: verifies what people signed, and admits it to the database.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::super::answer::{About, Answer, Failed};
use super::super::args::Admit;
use super::super::change::Change;
use super::super::connect::{Role, client};
use super::super::error::ProgramError;
use super::super::exit;
use super::{Context, moment, short, stamp};
use crate::authority::{AllowedSigners, Policy, RevokedKeys, SignedApprovals};
use crate::database::{Operator, Rejected};
use crate::plan::{Plan, PlannedPhase};

/// How long a rejection waits for commits that had passed their check.
const PATIENCE: Duration = Duration::from_secs(2);

/// What people signed, verified by the rules; and how many have to sign for each gate of the plan.
struct Verified {
    approvals: SignedApprovals,
    needed: Vec<(String, u32)>,
    /// The files that do not count.
    warnings: Vec<String>,
}

fn verified(admit: &Admit, change: &Change, plan: &Plan) -> Result<Verified, Failed> {
    let policy = text_of(
        change,
        admit.policy.as_deref(),
        admit.policy_from.as_deref(),
    )?;
    let signers = text_of(
        change,
        admit.signers.as_deref(),
        admit.signers_from.as_deref(),
    )?;
    let policy = match policy {
        Source::File(path) => Policy::read(path)?,
        Source::Commit(bytes) => Policy::from_json(&bytes)?,
    };
    let signers = match signers {
        Source::File(path) => AllowedSigners::read(path)?,
        Source::Commit(bytes) => AllowedSigners::parse(&String::from_utf8_lossy(&bytes))?,
    };
    let needed: Vec<(String, u32)> = (plan.phases().iter().flat_map(PlannedPhase::gates))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|gate| {
            (
                gate.clone(),
                policy
                    .gate(gate)
                    .map_or(0, crate::authority::GateRule::needed),
            )
        })
        .collect();
    let mut approvals = SignedApprovals::new(plan, policy, signers);
    if let Some(revoked) = &admit.revoked {
        ensure_outside(change, revoked)?;
        approvals = approvals.revoked_keys(RevokedKeys::read(revoked)?);
    }
    let mut warnings = Vec::new();
    if change.approvals().is_dir() {
        for refused in approvals.add_directory(change.approvals())? {
            let hint = refused
                .hint()
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            warnings.push(format!("{refused}{hint}"));
        }
    }
    Ok(Verified {
        approvals,
        needed,
        warnings,
    })
}

pub(super) fn admit(context: &Context<'_>, admit: &Admit) -> Result<Answer, Failed> {
    let change = Change::at(&admit.dir);
    let plan = change.plan()?;
    let Verified {
        approvals,
        needed,
        warnings,
    } = verified(admit, &change, &plan)?;
    let mut operator = Operator::new(client(Role::Operator, context.io)?);
    let admission = operator.admit_plan(&plan)?;
    let mut text = format!("{admission}\n");
    let mut rejections = Vec::new();
    for rejection in approvals.rejections() {
        let drained = operator.admit_rejection(&rejection, PATIENCE)?;
        rejections
            .push(json!({ "by": rejection.approver(), "drained": drained == Rejected::Drained }));
        text.push_str(&format!(
            "rejected by {}: no phase of the plan commits any more\n",
            rejection.approver()
        ));
    }
    let mut gates = Vec::new();
    let mut missing = false;
    for (gate, needs) in needed {
        match approvals.attestation(&gate) {
            Ok(attestation) => {
                operator.admit_approval(&attestation)?;
                let expires = attestation.statement().expires;
                text.push_str(&format!(
                    "admitted: {gate}, by {} ({needs} needed), until {}\n",
                    attestation.approver(),
                    moment(expires),
                ));
                gates.push(json!({
                    "gate": gate, "needs": needs, "admitted": true, "by": attestation.approver(),
                    "expires": stamp(expires), "missing": null,
                }));
            }
            Err(denied) => {
                missing = true;
                text.push_str(&format!(
                    "MISSING   {gate}: {denied}\n            {} approve {} --gate {gate} --as NAME --comment TEXT\n",
                    context.name,
                    change.dir().display(),
                ));
                gates.push(json!({
                    "gate": gate, "needs": needs, "admitted": false, "by": null, "expires": null,
                    "missing": denied.to_string(),
                }));
            }
        }
    }
    if !missing && rejections.is_empty() {
        text.push_str(&format!(
            "next: {} check {}",
            context.name,
            change.dir().display()
        ));
    }
    let result = json!({
        "digest": short(plan.digest()), "admission": admission.to_string(), "gates": gates, "rejections": rejections,
    });
    let rejected = !rejections.is_empty();
    let mut answer = Answer::new(About::plan(&plan), result, text);
    answer.warnings = warnings;
    Ok(answer.exit(if missing || rejected {
        exit::NOT_READY
    } else {
        exit::OK
    }))
}

enum Source<'a> {
    File(&'a Path),
    Commit(Vec<u8>),
}

/// Returns where a policy or keys are read from: never the change directory, whose author could write them.
fn text_of<'a>(
    change: &Change,
    file: Option<&'a Path>,
    commit: Option<&str>,
) -> Result<Source<'a>, Failed> {
    match (file, commit) {
        (_, Some(object)) => of_commit(change.dir(), object).map(Source::Commit),
        (Some(path), None) => {
            ensure_outside(change, path)?;
            Ok(Source::File(path))
        }
        // The arguments require one of the two.
        (None, None) => Err(ProgramError::PolicyInChange(change.dir().to_owned()).into()),
    }
}

fn ensure_outside(change: &Change, path: &Path) -> Result<(), Failed> {
    let (real, dir) = (path.canonicalize(), change.dir().canonicalize());
    match (real, dir) {
        (Ok(real), Ok(dir)) if real.starts_with(&dir) => {
            Err(ProgramError::PolicyInChange(path.to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// Reads a file out of a commit.
fn of_commit(dir: &Path, object: &str) -> Result<Vec<u8>, Failed> {
    let failed = |message: String| {
        Failed::from(ProgramError::ToolFailed {
            tool: "git",
            message,
        })
    };
    // An argument that begins with a dash would be an option of git.
    if object.starts_with('-') || !object.contains(':') {
        return Err(failed(format!("`{object}` is not of the form REV:PATH")));
    }
    let ran = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["show", object])
        .output();
    let output = ran.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    Ok(output.stdout)
}
