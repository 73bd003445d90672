//! What a gate's policy demands of a plan, before anybody may approve it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanMeans};

/// What the rule of a gate demands of a plan; a plan that lacks it cannot be approved at that gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Demand {
    /// Each statement that its phases may send can be read in it ([`Plan::shows_statements`]): the plan was made by a
    /// rehearsal.
    Statements,
    /// It names each function that its rehearsal performed, with its definition
    /// ([`PlanMeans::has_all_functions`](crate::plan::PlanMeans::has_all_functions)).
    Functions,
}

impl Demand {
    /// Returns the demands that the plan does not meet.
    pub(super) fn unmet_by(plan: &Plan) -> Vec<Demand> {
        let functions = plan.means().is_some_and(PlanMeans::has_all_functions);
        let met = [
            (Demand::Statements, plan.shows_statements()),
            (Demand::Functions, functions),
        ];
        let unmet = met.into_iter().filter(|(_, met)| !met);
        unmet.map(|(demand, _)| demand).collect()
    }

    /// Returns what to do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Demand::Statements => {
                "Make the plan by a rehearsal, whose phases pass what differs as parameters, so that it shows each statement."
            }
            Demand::Functions => {
                "Rehearse where the schema's owner may set `track_functions`: GRANT SET ON PARAMETER track_functions TO phasegate_owner."
            }
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Demand::Statements => "the text of each statement",
            Demand::Functions => "the definition of each function that runs",
        })
    }
}
