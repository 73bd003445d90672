//! `rehearse` and `run`: what performs phases.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::super::answer::{About, Answer, Failed};
use super::super::change::Change;
use super::super::connect::{Role, connector};
use super::super::exit;
use super::super::pipeline::{Heading, Pipeline};
use super::observing::observe;
use super::{Context, short, stamp};
use crate::plan::Plan;
use crate::typed::RehearsalReport;

pub(super) fn rehearse(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    dir: &Path,
) -> Result<Answer, Failed> {
    let change = Change::at(dir);
    let plan = change.plan()?;
    let about = || About::plan(&plan);
    let input = change.input().map_err(|failed| failed.about(about()))?;
    let connector = connector(Role::Runner, context.io)?;
    let stop = context.stop_handle()?;
    let report = pipeline
        .rehearse(connector, Heading::of(&plan), &input, &stop)
        .map_err(|failed| failed.about(about()))?;
    let differences = report.against(&plan);
    let result = measurements(&plan, &report, &differences);
    let mut text = format!("{report}\n");
    for difference in &differences {
        text.push_str(&format!("DIFFERS  {difference}\n"));
    }
    if differences.is_empty() {
        text.push_str(&format!("It did what plan {} says.", short(plan.digest())));
    }
    let mut bytes = serde_json::to_vec_pretty(&result).unwrap_or_default();
    bytes.push(b'\n');
    change.write("rehearsal.json", &bytes)?;
    let exit = if differences.is_empty() {
        exit::OK
    } else {
        exit::DIFFERS
    };
    Ok(Answer::new(about(), result, text).exit(exit))
}

fn measurements(plan: &Plan, report: &RehearsalReport<()>, differences: &[String]) -> Value {
    let phases: Vec<Value> = (report.phases.iter())
        .map(|phase| {
            json!({
                "name": phase.name,
                "effects": phase.effects,
                "locks": phase.locks,
                "took_ms": u64::try_from(phase.took.as_millis()).unwrap_or(u64::MAX),
                "sequences": phase.sequences,
                "unguarded": phase.unguarded,
            })
        })
        .collect();
    let failed: Vec<Value> = (report.failed.iter())
        .map(|phase| json!({ "name": phase.name, "why": phase.why, "sequences": phase.sequences }))
        .collect();
    json!({
        "schema": "phasegate/rehearsal/1",
        "plan": plan.digest(),
        "at": stamp(SystemTime::now()),
        "database": report.plan.target(),
        "phases": phases,
        "failed": failed,
        "differences": differences,
    })
}

pub(super) fn run(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    dir: &Path,
) -> Result<Answer, Failed> {
    let change = Change::at(dir);
    let plan = change.plan()?;
    let about = || About::plan(&plan);
    let input = change.input().map_err(|failed| failed.about(about()))?;
    let connector = connector(Role::Runner, context.io)?;
    context.say(&format!(
        "run of plan {}, {} phases, in {}",
        short(plan.digest()),
        plan.phases().len(),
        plan.target()
    ));
    let stop = context.stop_handle()?;
    let report = pipeline
        .live(
            plan.clone(),
            connector,
            &input,
            &stop,
            observe(context, &stop, plan.clone()),
        )
        .map_err(|failed| failed.about(about()))?;
    let result = json!({
        "performed": report.performed,
        "committed_before": report.committed_before,
        "last_committed_at": report.last_committed_at,
        "phases": plan.phases().len(),
    });
    Ok(Answer::new(about(), result, report.to_string()))
}
