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
use crate::base::printable::Printable;
use crate::plan::{Plan, PlannedRows};
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
    let differences = unlike_planned(&plan, &report);
    let result = measurements(&plan, &report, &differences);
    let mut text = format!("{report}\n");
    for difference in &differences {
        text.push_str(&format!("DIFFERS  {difference}\n"));
    }
    if differences.is_empty() {
        text.push_str(&format!(
            "The effects are those of plan {}.",
            short(plan.digest())
        ));
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

/// Returns what the rehearsal did otherwise than the plan says, beyond its tolerance.
fn unlike_planned(plan: &Plan, report: &RehearsalReport<()>) -> Vec<String> {
    let mut found = Vec::new();
    for failed in &report.failed {
        found.push(format!(
            "{}: failed: {}",
            Printable(&failed.name),
            Printable(&failed.why)
        ));
    }
    for (place, planned) in plan.phases().iter().enumerate() {
        let name = planned.name();
        let Some(seen) = report
            .plan
            .phases()
            .get(place)
            .filter(|seen| seen.name() == name)
        else {
            found.push(format!("{name}: not performed at place {}", place + 1));
            continue;
        };
        if seen.input() != planned.input() {
            found.push(format!("{name}: the input is not that of the plan"));
        }
        if seen.gates() != planned.gates() {
            found.push(format!("{name}: the gates are not those of the plan"));
        }
        let tables = planned.effects().keys().chain(seen.effects().keys());
        for table in tables.collect::<std::collections::BTreeSet<_>>() {
            let (before, after) = (planned.effects().get(table), seen.effects().get(table));
            if !is_within(before, after) {
                let rows = |rows: Option<&PlannedRows>| {
                    rows.map_or_else(|| "no change".to_owned(), ToString::to_string)
                };
                found.push(format!(
                    "{name}: {table}: planned {}, measured {}",
                    rows(before),
                    rows(after)
                ));
            }
        }
    }
    if report.plan.phases().len() > plan.phases().len() {
        found.push("the pipeline performs more phases than the plan has".to_owned());
    }
    found
}

fn is_within(planned: Option<&PlannedRows>, seen: Option<&PlannedRows>) -> bool {
    let counts = |rows: Option<&PlannedRows>| {
        let counts = rows.map(PlannedRows::counts).unwrap_or_default();
        [counts.inserted, counts.updated, counts.deleted]
    };
    let tolerance = planned.map_or(0, PlannedRows::tolerance);
    let mut both = counts(planned).into_iter().zip(counts(seen));
    // What is planned as 0 has to stay 0.
    both.all(|(planned, seen)| {
        planned == seen || (planned > 0 && planned.abs_diff(seen) <= tolerance)
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
