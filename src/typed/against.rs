//! A rehearsal against a plan: does what was approved still hold for the rows as they are now?

use std::collections::{BTreeMap, BTreeSet};

use super::report::RehearsalReport;
use crate::base::printable::Printable;
use crate::plan::{Plan, PlanMeans, PlannedContents, PlannedPhase, PlannedRows};

impl<T> RehearsalReport<T> {
    /// Returns what this rehearsal did otherwise than a plan says, a line for each difference; empty if a live run of the
    /// plan would commit if it did the same.
    ///
    /// Phases, gates, inputs, statements, numbers of rows within their tolerance, columns and values of tables guarded
    /// [by contents](crate::schema::Guard::Contents), and the definitions that were used are compared. Not compared:
    /// approvals, the switch, the target, the program.
    ///
    /// So the plan of Monday is tried on the rows of Tuesday, before an operator turns the switch on.
    #[must_use]
    pub fn against(&self, plan: &Plan) -> Vec<String> {
        let mut found = Vec::new();
        for failed in &self.failed {
            let (name, why) = (Printable(&failed.name), Printable(&failed.why));
            found.push(format!("{name}: failed: {why}"));
        }
        for (place, planned) in plan.phases().iter().enumerate() {
            let seen = self.plan.phases().get(place);
            match seen.filter(|seen| seen.name() == planned.name()) {
                Some(seen) => {
                    let measured = self.phases.iter().find(|one| one.name == planned.name());
                    let contents = measured.map(|one| &one.contents);
                    let mut lines = unlike(planned, seen);
                    lines.extend(
                        contents
                            .into_iter()
                            .flat_map(|all| columns_unlike(planned, all)),
                    );
                    let name = planned.name();
                    found.extend(lines.into_iter().map(|line| format!("{name}: {line}")));
                }
                None => found.push(format!(
                    "{}: not performed at place {}",
                    planned.name(),
                    place + 1
                )),
            }
        }
        if self.plan.phases().len() > plan.phases().len() {
            found.push("the pipeline performs more phases than the plan has".to_owned());
        }
        found.extend(changed(plan.means(), self.plan.means()));
        found
    }
}

/// Returns what of a phase is not as planned, without its columns.
fn unlike(planned: &PlannedPhase, seen: &PlannedPhase) -> Vec<String> {
    let mut found = Vec::new();
    if seen.input() != planned.input() {
        found.push("the input is not that of the plan".to_owned());
    }
    if seen.gates() != planned.gates() {
        found.push("the gates are not those of the plan".to_owned());
    }
    for statement in seen.statements().into_iter().flatten() {
        if planned.statements().is_some() && !planned.may_send(statement) {
            let statement = Printable(statement);
            found.push(format!(
                "a statement that the plan does not have: `{statement}`"
            ));
        }
    }
    let tables = planned.effects().keys().chain(seen.effects().keys());
    for table in tables.collect::<BTreeSet<_>>() {
        let (before, after) = (planned.effects().get(table), seen.effects().get(table));
        if !is_within(before, after) {
            let rows = |rows: Option<&PlannedRows>| {
                rows.map_or_else(|| "no change".to_owned(), ToString::to_string)
            };
            let (before, after) = (rows(before), rows(after));
            found.push(format!("{table}: planned {before}, measured {after}"));
        }
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

/// Returns the columns that are not planned, and those whose values are not the planned ones.
fn columns_unlike(planned: &PlannedPhase, seen: &BTreeMap<String, PlannedContents>) -> Vec<String> {
    let mut found = Vec::new();
    for (table, planned) in planned.contents() {
        let none = PlannedContents::default();
        let seen = seen.get(table).unwrap_or(&none);
        for (change, name, column) in seen.columns() {
            if planned.column(change, name).is_none() && column.rows() > 0 {
                found.push(format!("{table} {change}, {name}: not in the plan"));
            }
        }
        for (change, name, column) in planned.columns() {
            let values = seen.column(change, name).and_then(|seen| seen.values());
            // What was not changed at all has the sum of nothing.
            let values = values.unwrap_or("0000000000000000");
            if column.values().is_some_and(|planned| planned != values) {
                found.push(format!(
                    "{table} {change}, {name}: other values than the plan binds"
                ));
            }
        }
    }
    found
}

/// Returns the definitions that have changed since the plan was made.
fn changed(planned: Option<&PlanMeans>, seen: Option<&PlanMeans>) -> Vec<String> {
    let (Some(planned), Some(seen)) = (planned, seen) else {
        return Vec::new();
    };
    let objects = planned.objects().iter();
    let changed = objects.filter(|(name, digest)| {
        let now = seen.objects().get(*name);
        now.is_some_and(|now| now != *digest)
    });
    changed
        .map(|(name, _)| format!("{} has changed since the plan was made", Printable(name)))
        .collect()
}
