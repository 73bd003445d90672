//! `approve` and `reject`: a statement that a person reads, confirms and signs.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::super::answer::{About, Answer, Failed};
use super::super::args::Sign;
use super::super::change::{Change, not_written};
use super::super::error::ProgramError;
use super::{Context, short};
use crate::authority::{ApprovalStatement, NAMESPACE};
use crate::base::printable::Printable;
use crate::plan::Plan;

pub(super) fn sign(context: &Context<'_>, sign: &Sign, rejects: bool) -> Result<Answer, Failed> {
    let change = Change::at(&sign.dir);
    let plan = change.plan()?;
    let decided = signed(context, sign, rejects, &change, &plan);
    decided.map_err(|failed| failed.about(About::plan(&plan)))
}

fn signed(
    context: &Context<'_>,
    sign: &Sign,
    rejects: bool,
    change: &Change,
    plan: &Plan,
) -> Result<Answer, Failed> {
    let gates: std::collections::BTreeSet<_> = plan
        .phases()
        .iter()
        .flat_map(|phase| phase.gates().iter().cloned())
        .collect();
    if !gates.contains(&sign.gate) {
        return Err(ProgramError::NoSuchGate {
            gate: sign.gate.clone(),
            gates: gates.into_iter().collect(),
        }
        .into());
    }
    let mut statement = ApprovalStatement::for_gate_named(&sign.gate, plan)
        .lasting(*sign.lasting)
        .comment(&*sign.comment);
    if rejects {
        statement = statement.rejecting();
    }
    let statement = statement.build()?;
    let bytes = statement.bytes()?;
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    // What is signed is shown whole, whatever `--quiet` says: it is what the signature means.
    let mut err = context.io.err();
    let _ = std::io::Write::write_fmt(
        &mut err,
        format_args!(
            "{plan}\nThe statement that is signed, word for word:\n{}\n",
            Printable(&shown)
        ),
    );
    if rejects {
        context.say(
            "A rejection stops the plan. It cannot be undone: to go on, another plan is made.",
        );
    } else if !sign.statement_only {
        confirm(context, plan)?;
    }
    let file = format!(
        "{}-{}-{}.json",
        safe(&sign.gate),
        safe(&sign.name),
        short_nonce(&statement.nonce)
    );
    let path = change.approvals().join(file);
    fs::create_dir_all(change.approvals())
        .map_err(|error| not_written(&change.approvals(), error))?;
    let by_hand = |key: &str| {
        format!(
            "ssh-keygen -Y sign -n {NAMESPACE} -f {key} {}",
            path.display()
        )
    };
    if sign.statement_only {
        statement.save(&path)?;
        let command = by_hand("KEY");
        let result = json!({ "statement": path, "signature": null, "command": command });
        let text = format!("wrote {}\nnext: {command}", path.display());
        return Ok(Answer::new(About::plan(plan), result, text));
    }
    let key = match &sign.key {
        Some(key) => key.clone(),
        None => default_key(context)?,
    };
    statement.save(&path)?;
    context.say(&format!(
        "{}\n(touch your key now, if it is a token)",
        by_hand(&key.display().to_string())
    ));
    let ran = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(&key)
        .arg(&path)
        .output();
    let failed = match ran {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(message) = failed {
        // A statement without a signature counts for nothing.
        let _ = fs::remove_file(&path);
        return Err(ProgramError::ToolFailed {
            tool: "ssh-keygen",
            message,
        }
        .into());
    }
    let signature = format!("{}.sig", path.display());
    let verb = if rejects { "rejected" } else { "approved" };
    let text = format!(
        "{verb} {} of plan {}: {}, {signature}\nnext: commit both files; an operator runs {} admit {}",
        sign.gate,
        short(plan.digest()),
        path.display(),
        context.name,
        change.dir().display(),
    );
    let result = json!({ "statement": path, "signature": signature, "command": null });
    Ok(Answer::new(About::plan(plan), result, text))
}

/// Has the person type the beginning of the digest that they have read.
fn confirm(context: &Context<'_>, plan: &Plan) -> Result<(), Failed> {
    if !context.io.is_terminal() {
        return Err(ProgramError::NoTerminal.into());
    }
    let mut err = context.io.err();
    let _ = std::io::Write::write_fmt(
        &mut err,
        format_args!("To approve it, type the first 8 digits of the digest: "),
    );
    let _ = err.flush();
    let typed = context
        .io
        .read_line()
        .map_err(|error| Failed::new(super::super::exit::UNEXPECTED, "unexpected", &error, None))?;
    let typed = typed.trim();
    if typed.len() < 8 || !plan.digest().to_string().starts_with(typed) {
        return Err(ProgramError::NotConfirmed.into());
    }
    Ok(())
}

fn default_key(context: &Context<'_>) -> Result<std::path::PathBuf, ProgramError> {
    let home = context.io.environment().home(".ssh/id_ed25519");
    let key = home.ok_or(ProgramError::NoKey)?;
    if key.is_file() {
        Ok(key)
    } else {
        Err(ProgramError::NoKey)
    }
}

/// Returns a part of a file's name: a name cannot lead out of the directory.
fn safe(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '_'
        }
    };
    name.chars().take(60).map(plain).collect()
}

fn short_nonce(nonce: &str) -> String {
    safe(nonce).chars().take(8).collect()
}
