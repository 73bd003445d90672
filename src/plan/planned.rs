use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::contents::PlannedContents;
use super::effects::{Effects, PlannedRows, not_a_table_name};
use super::statements::{PlannedStatements, SentStatements, StatementList};
use crate::base::digest::Digest;
use crate::base::printable::first_unprintable;

/// The greatest length of the name of a phase or of a gate, in bytes.
const LONGEST_NAME: usize = 200;

/// The greatest length of a summary, in bytes.
const LONGEST_SUMMARY: usize = 400;

/// The changed columns, by table.
pub(super) type Contents = BTreeMap<String, PlannedContents>;

/// One phase of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPhase {
    name: String,
    gates: Vec<String>,
    after: Vec<String>,
    input: Digest,
    input_bytes: u64,
    #[serde(default, skip_serializing_if = "is_false")]
    personal: bool,
    summary: String,
    effects: BTreeMap<String, PlannedRows>,
    /// Of tables guarded by contents; empty in the plan of a dry run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    contents: BTreeMap<String, PlannedContents>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sends: Option<PlannedStatements>,
}

// The signature that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Returns why a text cannot be the name of a phase or of a gate: people compare names, and would not see invisible
/// characters.
fn not_a_name(what: &str, name: &str) -> Option<String> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Some(format!(
            "its {what} has {} bytes, and a name has 1 to {LONGEST_NAME}",
            name.len()
        ));
    }
    if name.trim() != name {
        return Some(format!("its {what} {name:?} begins or ends with a space"));
    }
    let other = name
        .chars()
        .enumerate()
        .find(|(_, c)| !matches!(c, ' '..='~'));
    other.map(|(at, c)| {
        format!(
            "its {what} {name:?} has {c:?} as character {}, and a name is ASCII: another letter may look like it",
            at + 1
        )
    })
}

impl PlannedPhase {
    /// Returns the phase of this name, with these gates, the receipts of `after`, and the input of these `bytes`, but
    /// without its summary and effects.
    pub(crate) fn presented(name: &str, gates: &[&str], after: Vec<String>, bytes: &[u8]) -> Self {
        PlannedPhase {
            name: name.to_owned(),
            gates: gates.iter().map(|&gate| gate.to_owned()).collect(),
            after,
            input: Digest::of(bytes),
            input_bytes: bytes.len() as u64,
            personal: false,
            summary: String::new(),
            effects: BTreeMap::new(),
            contents: BTreeMap::new(),
            sends: None,
        }
    }

    /// Adds the summary, the effects, and whether the input is personal data.
    pub(crate) fn with(
        mut self,
        summary: String,
        effects: &Effects,
        tolerance: impl Fn(&str) -> u64,
        personal: bool,
    ) -> Self {
        self.summary = summary;
        self.personal = personal;
        self.effects = effects
            .tables()
            .map(|(table, counts)| {
                let planned = PlannedRows::new(counts, tolerance(table));
                (table.to_owned(), planned)
            })
            .collect();
        self
    }

    /// Adds the statements that a rehearsal of the phase has sent.
    pub(crate) fn sending(mut self, sent: SentStatements) -> Self {
        self.sends = Some(sent.into());
        self
    }

    /// Adds the columns that a rehearsal of the phase has changed, with no value bound.
    pub(crate) fn writing(mut self, contents: &BTreeMap<String, PlannedContents>) -> Self {
        let columns = contents.iter();
        self.contents = columns
            .map(|(table, contents)| (table.clone(), contents.clone().without_values()))
            .collect();
        self
    }

    /// Binds the values that two rehearsals of the phase have written, but of tables with a tolerance, of which a live
    /// run may change other rows.
    pub(super) fn binding(&mut self, first: &Contents, second: &Contents) {
        for (table, contents) in &mut self.contents {
            let exact = self
                .effects
                .get(table)
                .is_none_or(|rows| rows.tolerance() == 0);
            if let Some(measured) = first.get(table).filter(|_| exact) {
                *contents = measured.clone().common_values(second.get(table));
            }
        }
    }

    /// Enters its statements into the plan's list.
    pub(super) fn list_statements(&mut self, list: &mut StatementList) {
        if let Some(sends) = &mut self.sends {
            sends.list(list);
        }
    }

    /// Takes the texts of its statements from the plan's list; returns what is wrong, if anything is.
    pub(super) fn find_statements(&mut self, list: &[Arc<str>]) -> Option<String> {
        self.sends.as_mut().and_then(|sends| sends.find(list))
    }

    /// Returns the places of its statements in the plan's list, counted from 1.
    pub(super) fn statement_places(&self) -> &[usize] {
        self.sends.as_ref().map_or(&[], PlannedStatements::places)
    }

    /// Returns whether the phase may send a statement, which stands in plans under this text.
    pub(crate) fn may_send(&self, statement: &str) -> bool {
        (self.sends.as_ref()).is_none_or(|sends| sends.allow(statement))
    }

    /// Returns what is wrong with the phase's own texts and effects, if anything is.
    pub(crate) fn flaw(&self) -> Option<String> {
        const EXACT: u64 = 1 << 53;
        let texts = [&self.name, &self.summary];
        for text in texts.into_iter().chain(&self.gates).chain(&self.after) {
            if let Some(character) = first_unprintable(text) {
                return Some(format!(
                    "{text:?} has a character that people would not see as it is: {character:?}"
                ));
            }
        }
        let named = [("name", &self.name)].into_iter();
        let mut named = named.chain(self.gates.iter().map(|gate| ("gate", gate)));
        if let Some(flaw) = named.find_map(|(what, name)| not_a_name(what, name)) {
            return Some(flaw);
        }
        if self.summary.len() > LONGEST_SUMMARY {
            let long = self.summary.len();
            return Some(format!(
                "its summary has {long} bytes, and {LONGEST_SUMMARY} are the most"
            ));
        }
        if let Some(flaw) = self.sends.as_ref().and_then(PlannedStatements::flaw) {
            return Some(flaw);
        }
        let contents = self.contents.iter();
        let columns = contents.map(|(table, columns)| {
            if self.effects.contains_key(table) {
                columns.flaw(table)
            } else {
                Some(format!(
                    "it names columns of `{table}`, of which it changes no row"
                ))
            }
        });
        if let Some(flaw) = columns.flatten().next() {
            return Some(flaw);
        }
        self.effects.iter().find_map(|(table, planned)| {
            let too_many = planned.counts().kinds().iter().any(|(_, n)| *n > EXACT);
            if let Some(character) = first_unprintable(table) {
                Some(format!(
                    "the name of table {table:?} has a character that people would not see as it is: {character:?}"
                ))
            } else if table.len() > 300 {
                Some(format!("{table:?} is not the name of a table: no name has 300 bytes"))
            } else if let Some(flaw) = not_a_table_name(table) {
                Some(flaw)
            } else if too_many || planned.tolerance() > EXACT {
                Some(format!("`{table}` would have more than 2^53 rows"))
            } else if planned.is_none() {
                Some(format!("nothing is done to `{table}`, which it names"))
            } else {
                None
            }
        })
    }

    /// Returns the phase's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the gates of the phase; empty if it has none.
    #[must_use]
    pub fn gates(&self) -> &[String] {
        &self.gates
    }

    /// Returns the phases that it comes after; empty if there are none.
    #[must_use]
    pub fn after(&self) -> &[String] {
        &self.after
    }

    /// Returns the digest of its input as canonical JSON.
    #[must_use]
    pub fn input(&self) -> Digest {
        self.input
    }

    /// Returns the size of its input as canonical JSON, in bytes.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// Returns whether its input is personal data, which is kept out of evidence and out of what is shown; see
    /// [`PhaseSpec::PERSONAL`](crate::PhaseSpec::PERSONAL).
    #[must_use]
    pub fn is_personal(&self) -> bool {
        self.personal
    }

    /// Returns the statements that it may send, and no others, in the order in which the rehearsal sent them first;
    /// `None` if they are not known, since the plan is of a dry run. The parameters' types follow the text where the
    /// adapter named them. More than 64 of a phase, or 64 KiB, are in the plan [by their digests
    /// only](PlannedPhase::statements_by_digest).
    #[must_use]
    pub fn statements(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        let sends = self.sends.as_ref()?;
        Some(sends.texts().iter().map(|text| &**text))
    }

    /// Returns the number of statements that the plan has the digests of, and not the texts.
    #[must_use]
    pub fn statements_by_digest(&self) -> usize {
        (self.sends.as_ref()).map_or(0, |sends| sends.by_digest().len())
    }

    /// Returns one digest of all statements that the plan has by their digests only; `None` if there are none.
    pub(super) fn digest_of_more_statements(&self) -> Option<Digest> {
        let digests = self.sends.as_ref().map(PlannedStatements::by_digest)?;
        let all: Vec<u8> = digests.iter().flat_map(Digest::as_bytes).copied().collect();
        (!all.is_empty()).then(|| Digest::of(&all))
    }

    /// Returns its summary, one line for people; empty if it has none.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Returns its effects on each table that it changes. In a live run it has exactly these effects, within the
    /// tolerance, or it is rolled back.
    #[must_use]
    pub fn effects(&self) -> &BTreeMap<String, PlannedRows> {
        &self.effects
    }

    /// Returns the columns that it changes, of each table that was guarded [by
    /// contents](crate::schema::Guard::Contents) when it was rehearsed. In a live run it changes no other column of
    /// these, and where the values are bound, it writes exactly those, or it is rolled back. Of other tables, only the
    /// rows are counted.
    #[must_use]
    pub fn contents(&self) -> &BTreeMap<String, PlannedContents> {
        &self.contents
    }
}
