//! `runs`, `evidence`, `verify`: what an auditor asks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;

use serde_json::{Value, json};

use super::super::answer::{About, Answer, Failed};
use super::super::change::Change;
use super::super::connect::{Role, client};
use super::super::error::ProgramError;
use super::{Context, moment, short, stamp};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::database::{self, PlanRecord};
use crate::evidence::{EvidenceBundle, VERIFY};

pub(super) fn runs(context: &Context<'_>, open: bool) -> Result<Answer, Failed> {
    let all = database::plans(&mut client(Role::Auditor, context.io)?)?;
    let is_open =
        |run: &PlanRecord| i64::from(run.committed) < run.phases && run.rejected_by.is_none();
    let shown: Vec<&PlanRecord> = all.iter().filter(|run| !open || is_open(run)).collect();
    let mut text = String::new();
    for run in &shown {
        let rejected = run.rejected_by.as_deref();
        text.push_str(&format!(
            "{} {:<20} {}/{} phases, admitted by {} {}{}\n",
            run.plan.map(short).unwrap_or_default(),
            Printable(&run.pipeline),
            run.committed,
            run.phases,
            Printable(&run.admitted_by),
            moment(run.admitted_at),
            rejected
                .map(|by| format!("; REJECTED by {}", Printable(by)))
                .unwrap_or_default(),
        ));
    }
    let listed: Vec<Value> = (shown.iter())
        .map(|run| {
            json!({
                "plan": run.plan, "pipeline": run.pipeline, "role": run.role,
                "admitted_by": run.admitted_by, "admitted_at": stamp(run.admitted_at),
                "phases": run.phases, "committed": run.committed, "rejected_by": run.rejected_by,
            })
        })
        .collect();
    Ok(Answer::new(
        About::default(),
        json!({ "runs": listed }),
        text,
    ))
}

pub(super) fn evidence(
    context: &Context<'_>,
    plan: &str,
    out: Option<PathBuf>,
) -> Result<Answer, Failed> {
    let mut session = client(Role::Auditor, context.io)?;
    let (digest, default) = if Path::new(plan).join("plan.json").is_file() {
        let change = Change::at(Path::new(plan));
        (change.plan()?.digest(), Some(change.evidence()))
    } else {
        (digest_of(&mut session, plan)?, None)
    };
    let out = out
        .or(default)
        .unwrap_or_else(|| PathBuf::from(format!("evidence-{}", short(digest))));
    let bundle = EvidenceBundle::collect(&mut session, digest)?;
    bundle.verify()?;
    bundle.write_to(&out)?;
    let head = bundle.journal().head();
    let text = format!(
        "wrote {}, and verified it: plan {digest}, journal ends with {head}\n\
         next: {} verify {} --signers FILE --plan {digest} --head {head}",
        out.display(),
        context.name,
        out.display(),
    );
    let result = json!({ "dir": out, "digest": digest, "head": head });
    Ok(Answer::new(About::digest(digest), result, text))
}

/// Returns the digest of which `text` is the beginning, out of the plans of the database.
pub(super) fn digest_of(session: &mut ::postgres::Client, text: &str) -> Result<Digest, Failed> {
    if let Ok(digest) = Digest::from_str(text) {
        return Ok(digest);
    }
    let plans = database::plans(session)?;
    let found: Vec<Digest> = (plans.iter().filter_map(|run| run.plan))
        .filter(|plan| text.len() >= 8 && plan.to_string().starts_with(text))
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        _ => Err(ProgramError::NoSuchPlan {
            given: text.to_owned(),
            plans: found.len(),
        }
        .into()),
    }
}

/// Verifies evidence by this crate's own script, never by the one in the directory.
pub(super) fn verify(
    dir: &Path,
    signers: &Path,
    plan: Option<&str>,
    head: Option<&str>,
) -> Result<Answer, Failed> {
    let mut command = Command::new("sh");
    command.args(["-s", "--", "-s"]).arg(absolute(signers));
    for (option, value) in [("-p", plan), ("-e", head)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    command.arg(absolute(dir));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let failed = |error: std::io::Error| ProgramError::ToolFailed {
        tool: "sh",
        message: error.to_string(),
    };
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A shell that has failed early reads no further; its status tells.
        let _ = std::io::Write::write_all(&mut stdin, VERIFY.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ProgramError::NotVerified { message }.into());
    }
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let not_compared: Vec<&str> = [("plan", plan), ("head", head)]
        .into_iter()
        .filter(|(_, value)| value.is_none())
        .map(|(what, _)| what)
        .collect();
    let result = json!({ "dir": dir, "said": said, "not_compared": not_compared });
    let mut answer = Answer::new(About::default(), result, said);
    if !not_compared.is_empty() {
        let options = not_compared.join(", ");
        answer.warnings.push(format!(
            "not compared with a value from another source: {options}"
        ));
    }
    Ok(answer)
}

/// The script reads its arguments in the directory that it verifies; a path cannot be an option.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
