//! Displays a plan for people: what cannot be undone by another plan first, then phase by phase.

use std::collections::BTreeMap;
use std::fmt;

use super::input::PlanInputs;
use super::{Plan, PlannedPhase};
use crate::base::printable::Listed;

/// A plan for people, with the beginning of each input; [`Plan::with_inputs`] returns it.
#[derive(Debug, Clone, Copy)]
pub struct ShownPlan<'p> {
    plan: &'p Plan,
    inputs: Option<&'p PlanInputs>,
}

impl Plan {
    /// Returns the plan for people, with the beginning of the input of each phase, but of those that are personal.
    #[must_use]
    pub fn with_inputs<'p>(&'p self, inputs: &'p PlanInputs) -> ShownPlan<'p> {
        ShownPlan {
            plan: self,
            inputs: Some(inputs).filter(|inputs| inputs.plan() == self.digest()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = ShownPlan {
            plan: self,
            inputs: None,
        };
        plan.fmt(f)
    }
}

impl fmt::Display for ShownPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        heading(f, self.plan)?;
        in_all(f, self.plan)?;
        let mut shown = BTreeMap::new();
        for (phase, place) in self.plan.phases().iter().zip(1..) {
            self.phase(f, phase, place, &mut shown)?;
        }
        Ok(())
    }
}

fn heading(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    writeln!(f, "plan {}", plan.digest())?;
    write!(
        f,
        "pipeline `{}`, made by a {}",
        plan.pipeline(),
        plan.made_by()
    )?;
    if let Some(author) = plan.author() {
        write!(f, " of {author}")?;
    }
    if let Some(editor) = plan.last_editor() {
        write!(f, ", last edited by {editor}")?;
    }
    if let Some(until) = plan.content.valid_until {
        write!(f, ", valid until {until}")?;
    }
    writeln!(f, "\nfor {}", plan.target())?;
    if let Some(occasion) = plan.occasion() {
        writeln!(f, "occasion: {occasion}")?;
    }
    if let Some(program) = plan.program() {
        writeln!(f, "program: {program}")?;
    }
    writeln!(f, "digest of the change: {}", plan.change())?;
    if let Some(means) = plan.means() {
        let names: Vec<_> = means.objects().keys().collect();
        write!(f, "uses, as they were: {}", Listed::new(&names, ", "))?;
        f.write_str(if means.has_all_functions() {
            "\n"
        } else {
            " (of functions, those that are named)\n"
        })?;
    }
    Ok(())
}

/// The kinds of change, those that lose rows first.
const KINDS: [(&str, usize); 3] = [("deletes", 2), ("updates", 1), ("inserts", 0)];

/// What all phases do together, deletes first; and for each line the phase that does most of it.
fn in_all(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    let phases = plan.phases();
    write!(f, "\nin all, {} ", phases.len())?;
    f.write_str(if phases.len() == 1 {
        "phase:"
    } else {
        "phases:"
    })?;
    let mut sums: BTreeMap<(usize, &str), Vec<(u64, &str)>> = BTreeMap::new();
    for phase in phases {
        for (table, planned) in phase.effects() {
            let kinds = planned.counts().kinds();
            for (order, (_, kind)) in KINDS.iter().enumerate() {
                let (_, rows) = kinds[*kind];
                if rows > 0 {
                    sums.entry((order, table))
                        .or_default()
                        .push((rows, phase.name()));
                }
            }
        }
    }
    if sums.is_empty() {
        return writeln!(f, " no row is changed");
    }
    writeln!(f)?;
    let total = |parts: &[(u64, &str)]| parts.iter().map(|(rows, _)| rows).sum::<u64>();
    let mut lines: Vec<_> = sums.into_iter().collect();
    lines.sort_by_key(|((order, table), parts)| (*order, std::cmp::Reverse(total(parts)), *table));
    for ((order, table), parts) in lines {
        let rows = total(&parts);
        let (kind, _) = KINDS[order];
        write!(f, "   {kind} {rows} of {table}")?;
        let most = parts.iter().max_by_key(|(rows, _)| *rows);
        match most {
            Some((most, phase)) if parts.len() > 1 && most * 2 > rows => {
                writeln!(f, ", {most} of them in {phase}")?;
            }
            Some((_, phase)) if parts.len() == 1 => writeln!(f, ", in {phase}")?,
            _ => writeln!(f, ", in {} phases", parts.len())?,
        }
    }
    Ok(())
}

impl ShownPlan<'_> {
    /// Shows one phase. `shown` has the phase in which each statement stands already.
    fn phase(
        &self,
        f: &mut fmt::Formatter<'_>,
        phase: &PlannedPhase,
        place: usize,
        shown: &mut BTreeMap<String, usize>,
    ) -> fmt::Result {
        write!(f, "\n{place}. {}: ", phase.name())?;
        match phase.gates() {
            [] => f.write_str("no approval needed")?,
            gates => write!(f, "behind {}", gates.join(" and "))?,
        }
        if !phase.after().is_empty() {
            write!(f, "; after {}", phase.after().join(", "))?;
        }
        writeln!(f)?;
        if !phase.summary().is_empty() {
            writeln!(f, "   {}", phase.summary())?;
        }
        for (table, planned) in phase.effects() {
            writeln!(f, "   {table}: {planned}")?;
            if let Some(contents) = phase.contents().get(table) {
                for line in contents.to_string().lines() {
                    writeln!(f, "      {line}")?;
                }
            }
        }
        if phase.effects().is_empty() {
            writeln!(f, "   changes nothing")?;
        }
        write!(
            f,
            "   input {}, {} bytes",
            phase.input(),
            phase.input_bytes()
        )?;
        f.write_str(if phase.is_personal() {
            ", personal\n"
        } else {
            "\n"
        })?;
        if let Some(inputs) = self.inputs.filter(|_| !phase.is_personal())
            && let Some(beginning) = inputs.beginning(place)
        {
            writeln!(f, "      {beginning}")?;
        }
        let Some(statements) = phase.statements() else {
            return writeln!(f, "   statements: not known (dry run)");
        };
        if statements.len() == 0 {
            return writeln!(f, "   sends no statement");
        }
        for statement in statements {
            if let Some(phase) = shown.get(statement) {
                writeln!(
                    f,
                    "   sends the statement of phase {phase}: {}",
                    first_line(statement)
                )?;
                continue;
            }
            shown.insert(statement.to_owned(), place);
            for (line, first) in statement
                .lines()
                .zip(std::iter::once(true).chain(std::iter::repeat(false)))
            {
                let begin = if first { "sends" } else { "     " };
                writeln!(f, "   {begin} | {line}")?;
            }
        }
        match phase.statements_by_digest() {
            0 => Ok(()),
            more => writeln!(
                f,
                "   and {more} statements that this plan names by digest only"
            ),
        }
    }
}

fn first_line(statement: &str) -> String {
    const WIDE: usize = 60;
    let line = statement.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(WIDE).collect();
    if short.len() < statement.trim().len() {
        format!("{short} ..")
    } else {
        short
    }
}
