//! `check` and `doctor`: what is missing, before anything is touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::answer::{About, Answer, Failed};
use super::super::change::Change;
use super::super::connect::{Role, client, connector};
use super::super::exit;
use super::{Context, moment, short};
use crate::base::printable::Printable;
use crate::database;
use crate::plan::{PlannedPhase, Target};

/// One line of a check.
struct Finding {
    state: &'static str,
    about: &'static str,
    text: String,
    command: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.add("ok", about, text, None);
    }

    fn missing(&mut self, about: &'static str, text: impl Into<String>, command: String) {
        self.add("missing", about, text, Some(command));
    }

    fn add(
        &mut self,
        state: &'static str,
        about: &'static str,
        text: impl Into<String>,
        command: Option<String>,
    ) {
        self.0.push(Finding {
            state,
            about,
            text: text.into(),
            command,
        });
    }

    fn answer(self, about: About, begin: &str) -> Answer {
        let mut text = begin.to_owned();
        for finding in &self.0 {
            let state = if finding.state == "missing" {
                "MISSING"
            } else {
                finding.state
            };
            text.push_str(&format!("  {state:<8} {}\n", finding.text));
            if let Some(command) = &finding.command {
                text.push_str(&format!("             {command}\n"));
            }
        }
        let missing = self
            .0
            .iter()
            .filter(|finding| finding.state == "missing")
            .count();
        if missing > 0 {
            text.push_str(&format!("{missing} missing. Nothing was touched."));
        }
        let listed: Vec<Value> = (self.0.iter())
            .map(|finding| {
                json!({
                    "state": finding.state, "about": finding.about, "text": finding.text,
                    "command": finding.command,
                })
            })
            .collect();
        let exit = if missing > 0 {
            exit::NOT_READY
        } else {
            exit::OK
        };
        Answer::new(about, json!({ "findings": listed }), text).exit(exit)
    }
}

pub(super) fn check(context: &Context<'_>, dir: &Path) -> Result<Answer, Failed> {
    let change = Change::at(dir);
    let plan = change.plan()?;
    let (name, shown) = (context.name, dir.display());
    let mut found = Findings::default();
    let about = change.about()?;
    if about.pipeline != plan.pipeline() {
        found.add(
            "warning",
            "change",
            "change.toml names another pipeline than the plan",
            None,
        );
    }
    if !change.is_page_current(&plan) {
        found.missing(
            "page",
            "plan.md is not that of plan.json: reviewers may have read another plan",
            format!("{name} show {shown} --format md > {shown}/plan.md"),
        );
    }
    if change.has_input() {
        found.ok(
            "input",
            "input.json is here; a run compares it with the plan",
        );
    } else {
        found.missing(
            "input",
            "input.json is not here",
            format!("copy input.json from the author into {shown}"),
        );
    }
    if plan
        .valid_until()
        .is_some_and(|until| until <= SystemTime::now())
    {
        found.missing(
            "valid",
            "the plan has expired",
            format!("{name} plan --out NEW_DIR --author NAME .."),
        );
    }
    let mut session = client(Role::Runner, context.io)?;
    let target = Target::identify(&mut session)?;
    if &target == plan.target() {
        found.ok("target", format!("the plan is for {target}"));
    } else {
        let text = format!("the plan is for {}, and this is {target}", plan.target());
        found.missing("target", text, format!("{name} doctor"));
    }
    let facts = database::server_facts(&mut session)?;
    if facts.is_standby {
        found.missing(
            "primary",
            "the server is a standby",
            format!("{name} doctor"),
        );
    }
    if facts.is_installed {
        let standing = database::standing(&mut session, plan.digest())?;
        of_database(context, &plan, &shown.to_string(), &standing, &mut found);
    } else {
        found.missing(
            "schema",
            "the schema `phasegate` is not installed",
            format!("{name} init"),
        );
    }
    let author = plan
        .author()
        .map(|author| format!(" of {}", Printable(author)));
    let begin = format!(
        "plan {}{}, {}\n",
        short(plan.digest()),
        author.unwrap_or_default(),
        plan.pipeline()
    );
    Ok(found.answer(About::plan(&plan), &begin))
}

fn of_database(
    context: &Context<'_>,
    plan: &crate::Plan,
    dir: &str,
    standing: &database::Standing,
    found: &mut Findings,
) {
    let name = context.name;
    for (privilege, remedy) in &standing.bypass {
        let text = format!(
            "the role can bypass the interlock: {}",
            Printable(privilege)
        );
        found.missing("role", text, Printable(remedy).to_string());
    }
    let admit = format!("{name} admit {dir} --policy FILE --signers FILE");
    if let Some((at, committed)) = standing.admitted {
        found.ok(
            "admitted",
            format!(
                "admitted {}; {committed} of {} phases committed",
                moment(at),
                plan.phases().len()
            ),
        );
    } else {
        found.missing("admitted", "the plan is not admitted", admit);
    }
    if let Some((by, comment)) = &standing.rejection {
        let text = format!("rejected by {}: {}", Printable(by), Printable(comment));
        found.missing(
            "rejected",
            text,
            format!("{name} plan --out NEW_DIR --author NAME .."),
        );
    }
    of_gates(context, plan, dir, standing, found);
    let (by, why) = &standing.switch_by;
    match &standing.switch {
        Ok(()) => {
            let until = standing.switch_until.map(moment).unwrap_or_default();
            found.ok(
                "switch",
                format!(
                    "the switch is ON until {until} ({}: {})",
                    Printable(by),
                    Printable(why)
                ),
            );
        }
        Err(refusal) => {
            let text = format!(
                "{} ({}: {})",
                Printable(refusal),
                Printable(by),
                Printable(why)
            );
            found.missing(
                "switch",
                text,
                format!("{name} switch on --why REASON --for 30m"),
            );
        }
    }
}

/// Reports the gates of the phases that are not committed yet.
fn of_gates(
    context: &Context<'_>,
    plan: &crate::Plan,
    dir: &str,
    standing: &database::Standing,
    found: &mut Findings,
) {
    let name = context.name;
    let committed = standing
        .admitted
        .map_or(0, |(_, committed)| usize::try_from(committed).unwrap_or(0));
    let open = plan.phases().iter().skip(committed);
    for gate in open.flat_map(PlannedPhase::gates).collect::<BTreeSet<_>>() {
        let of_gate = standing
            .approvals
            .iter()
            .filter(|approval| &approval.gate == gate);
        match of_gate.max_by_key(|approval| approval.expires) {
            Some(approval) if approval.expires > standing.now => {
                found.ok(
                    "gate",
                    format!(
                        "{gate}: {} until {}",
                        Printable(&approval.approver),
                        moment(approval.expires)
                    ),
                );
            }
            Some(approval) => {
                let text = format!(
                    "{gate}: the approval has expired, {}",
                    moment(approval.expires)
                );
                found.missing(
                    "gate",
                    text,
                    format!("{name} approve {dir} --gate {gate} --as NAME --comment TEXT"),
                );
            }
            None => {
                let text = format!("{gate}: no approval is admitted");
                found.missing(
                    "gate",
                    text,
                    format!(
                        "{name} approve {dir} --gate {gate} --as NAME --comment TEXT, then {name} admit {dir} --policy FILE --signers FILE"
                    ),
                );
            }
        }
    }
}

pub(super) fn doctor(context: &Context<'_>) -> Result<Answer, Failed> {
    let mut found = Findings::default();
    let mut configured = 0;
    for role in Role::ALL {
        if let Err(error) = connector(role, context.io) {
            if !matches!(error, super::super::ProgramError::NoDatabase { .. }) {
                found.missing(
                    "connection",
                    format!("{}: {error}", role.name()),
                    error.hint().unwrap_or_default(),
                );
            }
            continue;
        }
        configured += 1;
        let before = SystemTime::now();
        let read = client(role, context.io).and_then(|mut session| {
            let target = Target::identify(&mut session)?;
            Ok((target, database::server_facts(&mut session)?))
        });
        match read {
            Ok((target, facts)) => {
                let skew = facts
                    .now
                    .duration_since(before)
                    .unwrap_or_else(|early| early.duration());
                let schema = if facts.is_installed {
                    "schema installed"
                } else {
                    "NO schema `phasegate`"
                };
                let standby = if facts.is_standby { ", a STANDBY" } else { "" };
                let text = format!(
                    "{}: {target}; PostgreSQL {}{standby}; {schema}; member of [{}]",
                    role.name(),
                    Printable(&facts.version),
                    facts.roles.join(", "),
                );
                if !facts.is_installed {
                    found.missing("schema", text, format!("{} init", context.name));
                } else if skew.as_secs() >= 5 {
                    found.add(
                        "warning",
                        "clock",
                        format!("{text}; the clocks are {} s apart", skew.as_secs()),
                        None,
                    );
                } else {
                    found.ok("connection", text);
                }
            }
            Err(failed) => {
                let text = format!("{}: {}", role.name(), failed.message());
                found.missing(
                    "connection",
                    text,
                    failed
                        .hint()
                        .unwrap_or("set the connection string")
                        .to_owned(),
                );
            }
        }
    }
    if configured == 0 {
        // Every role without a connection string: say which to set.
        connector(Role::Runner, context.io)?;
    }
    Ok(found.answer(About::default(), ""))
}
