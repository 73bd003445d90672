//! How two plans differ, phase by phase.

use std::collections::BTreeMap;
use std::fmt;

use super::{Content, PlanMeans, PlannedPhase};
use crate::base::printable::Printable;

/// How one plan differs from another; `Display` has a line for each difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDifferences {
    differences: Vec<PlanDifference>,
}

/// One thing in which two plans differ.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanDifference {
    /// The phase; `None` if the plans differ as a whole.
    pub phase: Option<String>,
    /// What differs: `"author"`, `"gates"`, `"input"`, `"rows of bank.account"`.
    pub what: String,
    /// What the first plan has; `None` if it has none.
    pub before: Option<String>,
    /// What the second plan has; `None` if it has none.
    pub after: Option<String>,
}

impl PlanDifferences {
    pub(super) fn between(before: &Content, after: &Content) -> Self {
        let mut all = PlanDifferences {
            differences: Vec::new(),
        };
        let whole = |content: &Content| {
            let said = [
                ("pipeline", Some(content.pipeline.clone())),
                ("target", Some(content.target.to_string())),
                ("source", Some(content.made_by.to_string())),
                ("occasion", content.occasion.clone()),
                ("author", content.author.clone()),
                ("last editor", content.last_editor.clone()),
                ("end", content.valid_until.map(|end| end.to_string())),
                ("program", content.program.as_ref().map(ToString::to_string)),
            ];
            said.map(|(what, value)| (what.to_owned(), value))
        };
        for ((what, before), (_, after)) in whole(before).into_iter().zip(whole(after)) {
            all.add(None, what, before, after);
        }
        let means = |content: &Content| {
            let objects = content.means.iter().flat_map(PlanMeans::objects);
            objects
                .map(|(name, digest)| (name.clone(), digest.to_string()))
                .collect::<BTreeMap<_, _>>()
        };
        let (old, new) = (means(before), means(after));
        for name in old
            .keys()
            .chain(new.keys().filter(|name| !old.contains_key(*name)))
        {
            let (before, after) = (old.get(name).cloned(), new.get(name).cloned());
            all.add(None, format!("definition of {name}"), before, after);
        }
        all.phases(&before.phases, &after.phases);
        all
    }

    fn phases(&mut self, before: &[PlannedPhase], after: &[PlannedPhase]) {
        let places = |phases: &[PlannedPhase]| -> BTreeMap<String, usize> {
            (1..)
                .zip(phases)
                .map(|(place, phase)| (phase.name().to_owned(), place))
                .collect()
        };
        let (old, new) = (places(before), places(after));
        for phase in before
            .iter()
            .filter(|phase| !new.contains_key(phase.name()))
        {
            self.add(
                Some(phase),
                "phase".to_owned(),
                Some("planned".to_owned()),
                None,
            );
        }
        // A phase has another place where one that both plans have comes earlier or later: not where one was added.
        let order = |phases: &[PlannedPhase], other: &BTreeMap<String, usize>| -> Vec<String> {
            let both = phases
                .iter()
                .filter(|phase| other.contains_key(phase.name()));
            both.map(|phase| phase.name().to_owned()).collect()
        };
        let (was, is) = (order(before, &new), order(after, &old));
        for phase in after {
            let Some(&place) = old.get(phase.name()) else {
                self.add(
                    Some(phase),
                    "phase".to_owned(),
                    None,
                    Some("planned".to_owned()),
                );
                continue;
            };
            let was_at = was.iter().position(|name| name == phase.name());
            let is_at = is.iter().position(|name| name == phase.name());
            if was_at != is_at {
                let at = |place: &usize| Some(format!("phase {place}"));
                self.add(
                    Some(phase),
                    "place".to_owned(),
                    at(&place),
                    new.get(phase.name()).and_then(at),
                );
            }
            let earlier = said(&before[place - 1]);
            let later = said(phase);
            for what in earlier
                .keys()
                .chain(later.keys().filter(|what| !earlier.contains_key(*what)))
            {
                self.add(
                    Some(phase),
                    what.clone(),
                    earlier.get(what).cloned(),
                    later.get(what).cloned(),
                );
            }
        }
    }

    fn add(
        &mut self,
        phase: Option<&PlannedPhase>,
        what: String,
        before: Option<String>,
        after: Option<String>,
    ) {
        if before != after {
            self.differences.push(PlanDifference {
                phase: phase.map(|phase| phase.name().to_owned()),
                what,
                before,
                after,
            });
        }
    }

    /// Returns whether the plans are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Returns the differences: first those of the whole, then phase by phase.
    #[must_use]
    pub fn list(&self) -> &[PlanDifference] {
        &self.differences
    }
}

/// Returns what a plan says of a phase, each under its name.
fn said(phase: &PlannedPhase) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    let mut say = |what: String, value: String| said.insert(what, value);
    if !phase.gates().is_empty() {
        say("gates".to_owned(), phase.gates().join(" and "));
    }
    if !phase.after().is_empty() {
        say(
            "order".to_owned(),
            format!("after {}", phase.after().join(", ")),
        );
    }
    let input = format!("{} ({} bytes)", phase.input(), phase.input_bytes());
    say("input".to_owned(), input);
    if !phase.summary().is_empty() {
        say("summary".to_owned(), phase.summary().to_owned());
    }
    if phase.is_personal() {
        say("input's data".to_owned(), "personal".to_owned());
    }
    for (table, rows) in phase.effects() {
        say(format!("rows of {table}"), rows.to_string());
    }
    for (table, contents) in phase.contents() {
        for (change, name, column) in contents.columns() {
            let what = format!("{change} {name} of {table}");
            let values = column.values().unwrap_or("not bound");
            say(what, format!("{} rows, values {values}", column.rows()));
        }
    }
    match phase.statements() {
        None => drop(say("statements".to_owned(), "not known".to_owned())),
        Some(statements) => {
            for statement in statements {
                say(format!("statement `{statement}`"), "sent".to_owned());
            }
            if let Some(digest) = phase.digest_of_more_statements() {
                let more = phase.statements_by_digest();
                say(
                    "more statements".to_owned(),
                    format!("{more}, together {digest}"),
                );
            }
        }
    }
    said
}

impl fmt::Display for PlanDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(phase) = &self.phase {
            write!(f, "{}: ", Printable(phase))?;
        }
        write!(f, "{}: ", Printable(&self.what))?;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                write!(f, "{} -> {}", Printable(before), Printable(after))
            }
            (None, Some(after)) => write!(f, "added, {}", Printable(after)),
            (Some(before), None) => write!(f, "removed, it was {}", Printable(before)),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for PlanDifferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.differences.is_empty() {
            return writeln!(f, "no difference");
        }
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        Ok(())
    }
}
