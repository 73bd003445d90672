//! `show`, `diff`, and the page for reviewers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::answer::{About, Answer, Failed};
use super::super::args::Format;
use super::super::change::Change;
use super::super::exit;
use super::short;
use crate::plan::{Plan, PlannedPhase};

pub(super) fn show(dir: &Path, format: Format) -> Result<Answer, Failed> {
    let plan = Change::at(dir).plan()?;
    let result: Value = serde_json::from_slice(plan.bytes()).unwrap_or_default();
    let text = match format {
        Format::Md => markdown(&plan),
        Format::Json => String::from_utf8_lossy(plan.bytes()).into_owned(),
        Format::Text | Format::Svg => plan.to_string(),
    };
    Ok(Answer::new(
        About::plan(&plan),
        json!({ "plan": result }),
        text,
    ))
}

/// Returns the rows that all phases change, by table: deleted, updated, inserted.
fn totals(plan: &Plan) -> BTreeMap<&str, [u64; 3]> {
    let mut totals: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for (table, rows) in plan.phases().iter().flat_map(PlannedPhase::effects) {
        let counts = rows.counts();
        let sum = totals.entry(table).or_default();
        for (sum, rows) in sum
            .iter_mut()
            .zip([counts.deleted, counts.updated, counts.inserted])
        {
            *sum = sum.saturating_add(rows);
        }
    }
    totals
}

/// Returns the page for reviewers: what cannot be undone first, then each phase.
pub(in crate::program) fn markdown(plan: &Plan) -> String {
    let mut page = format!(
        "# Plan {} of `{}`\n\n",
        short(plan.digest()),
        cell(plan.pipeline())
    );
    let mut line = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    line(format!(
        "Digest `{}`, made by a {}",
        plan.digest(),
        plan.made_by()
    ));
    let by = |name: Option<&str>| name.map_or_else(|| "no one is named".to_owned(), cell);
    line(format!(
        "Author: {}. Last editor: {}.",
        by(plan.author()),
        by(plan.last_editor())
    ));
    let until = plan.valid_until().map(super::stamp);
    line(format!(
        "Valid until {}.",
        until.as_deref().unwrap_or("it is performed")
    ));
    line(format!("For {}.\n", cell(&plan.target().to_string())));
    line("| table | deleted | updated | inserted |\n|---|--:|--:|--:|".to_owned());
    let mut tables: Vec<_> = totals(plan).into_iter().collect();
    // Deletions first: they are what cannot be undone.
    tables.sort_by_key(|(_, counts)| std::cmp::Reverse(*counts));
    for (table, [deleted, updated, inserted]) in tables {
        line(format!(
            "| {} | {deleted} | {updated} | {inserted} |",
            cell(table)
        ));
    }
    for (place, phase) in (1..).zip(plan.phases()) {
        let gates = match phase.gates() {
            [] => "no approval needed".to_owned(),
            gates => format!("behind {}", gates.join(" and ")),
        };
        line(format!(
            "\n## {place}. {}: {}\n",
            cell(phase.name()),
            cell(&gates)
        ));
        if !phase.after().is_empty() {
            line(format!("After {}.", cell(&phase.after().join(", "))));
        }
        if !phase.summary().is_empty() {
            line(cell(phase.summary()));
        }
        line(format!("\nInput `{}`.\n", phase.input()));
        for (table, rows) in phase.effects() {
            line(format!("- {}: {rows}", cell(table)));
        }
        if phase.effects().is_empty() {
            line("- changes nothing".to_owned());
        }
    }
    page
}

/// Returns text that Markdown shows as it is.
fn cell(text: &str) -> String {
    let mut shown = String::new();
    for c in crate::base::printable::Printable(text).to_string().chars() {
        if matches!(
            c,
            '|' | '<' | '>' | '[' | ']' | '*' | '#' | '\\' | '`' | '&'
        ) {
            // Writing to a string does not fail.
            let _ = write!(shown, "&#{};", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

pub(super) fn diff(before: &Path, after: &Path) -> Result<Answer, Failed> {
    let (before, after) = (Change::at(before).plan()?, Change::at(after).plan()?);
    let differences = differences(&before, &after);
    let text = if differences.is_empty() {
        format!(
            "plans {} and {} are the same, phase by phase",
            short(before.digest()),
            short(after.digest())
        )
    } else {
        differences.join("\n")
    };
    let exit = if differences.is_empty() {
        exit::OK
    } else {
        exit::DIFFERS
    };
    let result =
        json!({ "before": before.digest(), "after": after.digest(), "differences": differences });
    Ok(Answer::new(About::plan(&after), result, text).exit(exit))
}

/// Returns each difference of two plans as a line: of the whole, then phase by phase in the order of the second.
pub(super) fn differences(before: &Plan, after: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, before: String, after: String| {
        if before != after {
            found.push(format!("{what}: {before} -> {after}"));
        }
    };
    compare(
        "pipeline",
        before.pipeline().to_owned(),
        after.pipeline().to_owned(),
    );
    compare(
        "target",
        before.target().to_string(),
        after.target().to_string(),
    );
    let names = |plan: &Plan| {
        let names: Vec<_> = plan.phases().iter().map(PlannedPhase::name).collect();
        names.join(", ")
    };
    compare("phases", names(before), names(after));
    for phase in after.phases() {
        let Some(old) = before
            .phases()
            .iter()
            .find(|old| old.name() == phase.name())
        else {
            continue;
        };
        let name = phase.name();
        compare(
            &format!("{name}: gates"),
            old.gates().join(" and "),
            phase.gates().join(" and "),
        );
        compare(
            &format!("{name}: after"),
            old.after().join(", "),
            phase.after().join(", "),
        );
        compare(
            &format!("{name}: input"),
            old.input().to_string(),
            phase.input().to_string(),
        );
        let tables = old.effects().keys().chain(phase.effects().keys());
        for table in tables.collect::<std::collections::BTreeSet<_>>() {
            let rows = |phase: &PlannedPhase| {
                phase
                    .effects()
                    .get(table)
                    .map_or_else(|| "unchanged".to_owned(), ToString::to_string)
            };
            compare(&format!("{name}: {table}"), rows(old), rows(phase));
        }
    }
    found
}
