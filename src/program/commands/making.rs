//! `plan`, `replan`, `gates`.

use std::path::Path;
use std::time::SystemTime;

use clap::ArgMatches;
use serde_json::json;

use super::super::answer::{About, Answer, Failed};
use super::super::args::{Format, Gates, Planning};
use super::super::change::{self, Change};
use super::super::connect::{Role, client, connector};
use super::super::exit;
use super::super::pipeline::{Heading, Pipeline};
use super::{Context, short, showing};
use crate::gates::GateTable;
use crate::outcome::Error;
use crate::plan::{EffectsSource, Plan, PlannedContents, Target};
use crate::typed::RehearsalReport;

pub(super) fn plan(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    planning: &Planning,
    matches: &ArgMatches,
) -> Result<Answer, Failed> {
    let change = Change::at(&planning.out);
    change.ensure_new()?;
    let input = pipeline.input(matches)?;
    let heading = Heading {
        author: Some(planning.author.clone()),
        last_editor: planning.last_editor.clone(),
        valid_until: Some(SystemTime::now() + *planning.valid_for),
        occasion: planning.label.clone(),
    };
    let (plan, inputs) = if planning.by_rehearsal || !pipeline.is_simulated() {
        let report = rehearsed(context, pipeline, &heading, &input, true)?;
        (report.plan, report.inputs)
    } else {
        let target = match &planning.performed_by {
            Some(role) => {
                Target::identify(&mut client(Role::Reader, context.io)?)?.performed_by(role)
            }
            None => Target::identify(&mut client(Role::Runner, context.io)?)?,
        };
        if let Some(ran) = pipeline.dry(target, heading.clone(), &input) {
            let ran = ran?;
            (ran.plan, ran.inputs)
        } else {
            let report = rehearsed(context, pipeline, &heading, &input, true)?;
            (report.plan, report.inputs)
        }
    };
    let about = change::About {
        pipeline: plan.pipeline().to_owned(),
        author: planning.author.clone(),
        label: planning.label.clone(),
        ticket: None,
        commit_input: planning.commit_input,
    };
    change.create(&about, &input, &plan, &inputs)?;
    let dir = change.dir().display();
    let result = json!({ "dir": dir.to_string(), "digest": plan.digest(), "made_by": plan.made_by().to_string() });
    let text = format!(
        "{plan}\nsaved in {dir}\nnext: {} show {dir}, and commit the directory",
        context.name
    );
    Ok(Answer::new(About::plan(&plan), result, text))
}

/// Makes a plan by a rehearsal; by two, if it changes tables guarded by contents, whose values are to be bound.
fn rehearsed(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    heading: &Heading,
    input: &[u8],
    binds_values: bool,
) -> Result<RehearsalReport<()>, Failed> {
    context.say("a rehearsal makes the plan: the phases are performed, measured and rolled back");
    let stop = context.stop_handle()?;
    let rehearse = || {
        let connector = connector(Role::Runner, context.io)?;
        pipeline.rehearse(connector, heading.clone(), input, &stop)
    };
    let mut report = rehearse()?;
    context.say(&report.to_string());
    let mut phases = report.plan.phases().iter();
    if binds_values && phases.any(|phase| !phase.contents().is_empty()) {
        context.say(
            "a second rehearsal binds the values that both write, in tables guarded by contents",
        );
        report = report.confirmed_by(&rehearse()?).map_err(Error::from)?;
    }
    Ok(report)
}

/// Makes the plan of a change again: in the way in which it was made, from its input.
fn made_again(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    change: &Change,
) -> Result<(Plan, GateTable), Failed> {
    let plan = change.plan()?;
    let (input, heading) = (change.input()?, Heading::of(&plan));
    if plan.made_by() == EffectsSource::Prediction
        && let Some(ran) = pipeline.dry(plan.target().clone(), heading.clone(), &input)
    {
        let ran = ran?;
        return Ok((ran.plan, ran.gates));
    }
    let mut contents = plan
        .phases()
        .iter()
        .flat_map(|phase| phase.contents().values());
    let binds_values = contents.any(PlannedContents::binds_values);
    let report = rehearsed(context, pipeline, &heading, &input, binds_values)?;
    Ok((report.plan, report.gates))
}

pub(super) fn replan(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    dir: &Path,
) -> Result<Answer, Failed> {
    let change = Change::at(dir);
    let plan = change.plan()?;
    let (again, _) = made_again(context, pipeline, &change)?;
    // Whoever makes it, and when: a rehearsal's plan has an occasion of its own.
    let is_same = plan.change() == again.change();
    let differences = showing::differences(&plan, &again);
    let text = if is_same {
        format!("the same plan again: {}", plan.digest())
    } else {
        format!(
            "the plan made again is {}, and not {}\n{}",
            again.digest(),
            plan.digest(),
            differences.join("\n")
        )
    };
    let result =
        json!({ "digest": plan.digest(), "again": again.digest(), "differences": differences });
    let exit = if is_same { exit::OK } else { exit::DIFFERS };
    Ok(Answer::new(About::plan(&plan), result, text).exit(exit))
}

pub(super) fn gates(
    context: &Context<'_>,
    pipeline: &dyn Pipeline,
    gates: &Gates,
) -> Result<Answer, Failed> {
    let change = Change::at(&gates.dir);
    let (plan, table) = made_again(context, pipeline, &change)?;
    if let Some(path) = &gates.check {
        table.compare(path)?;
        let text = format!(
            "{} is the gate table of plan {}",
            path.display(),
            short(plan.digest())
        );
        return Ok(Answer::new(
            About::plan(&plan),
            json!({ "gates": null }),
            text,
        ));
    }
    let text = match gates.format {
        Format::Text => table.to_string(),
        Format::Md => table.markdown(),
        Format::Json => table.json(),
        Format::Svg => table.svg(),
    };
    let result: serde_json::Value = serde_json::from_str(&table.json()).unwrap_or_default();
    Ok(Answer::new(
        About::plan(&plan),
        json!({ "gates": result }),
        text,
    ))
}
