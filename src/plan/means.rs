//! The definitions that a plan's statements use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::digest::Digest;
use crate::base::printable::first_unprintable;

/// The tables, views and functions that a rehearsal used, each with the digest of its definition, as the server computed
/// it: columns, constraints, triggers, rules, policies; the body and the settings of a function.
///
/// The server compares them when the plan is admitted, and when a run opens its first phase: one that has changed since,
/// or is gone, refuses the plan by its name. Statistics, indexes, owners and privileges are not part of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanMeans {
    all_functions: bool,
    objects: BTreeMap<String, Digest>,
}

impl PlanMeans {
    /// Returns the objects by name (`table bank.account`, `function bank.touch()`), each with the digest of its definition.
    #[must_use]
    pub fn objects(&self) -> &BTreeMap<String, Digest> {
        &self.objects
    }

    /// Returns whether the server counted the functions that ran. Else the schema's owner may not set `track_functions`,
    /// and the functions are those of triggers and those that are named: by a statement, or by the body of another.
    #[must_use]
    pub fn has_all_functions(&self) -> bool {
        self.all_functions
    }

    pub(super) fn flaw(&self) -> Option<String> {
        let name = self
            .objects
            .keys()
            .find(|name| first_unprintable(name).is_some())?;
        Some(format!(
            "the name of {name:?} has a character that people would not see as it is"
        ))
    }
}
