//! What a gate's policy demands of a plan, before anybody may approve it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::printable::Printable;
use crate::plan::{Plan, PlanMeans, PlannedContents};

/// What the rule of a gate demands of a plan; a plan that lacks it cannot be approved at that gate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Demand {
    /// Each statement that its phases may send can be read in it ([`Plan::shows_statements`]): the plan was made by a
    /// rehearsal.
    Statements,
    /// It names each function that its rehearsal performed, with its definition
    /// ([`PlanMeans::has_all_functions`](crate::plan::PlanMeans::has_all_functions)).
    Functions,
    /// Each phase that changes this table, by the name that the server prints, names the columns
    /// ([`PlannedPhase::contents`](crate::plan::PlannedPhase::contents)): the table was guarded by contents when the plan
    /// was rehearsed. In a policy's file: `{"columns_of": "shop.orders"}`.
    ColumnsOf(String),
    /// Each phase that changes this table binds the values as well, in at least one column for each thing that it does to
    /// the rows itself ([`RehearsalReport::confirmed_by`](crate::runner::RehearsalReport::confirmed_by)). The columns into
    /// which two rehearsals write different values stay free, and the plan names them. In a policy's file:
    /// `{"values_of": "shop.orders"}`.
    ValuesOf(String),
}

impl Demand {
    /// Returns whether the plan has it.
    pub(super) fn is_met_by(&self, plan: &Plan) -> bool {
        let changed_in = |table: &String, has: fn(&PlannedContents) -> bool| {
            let mut phases = plan.phases().iter();
            phases.all(|phase| {
                !phase.effects().contains_key(table) || phase.contents().get(table).is_some_and(has)
            })
        };
        match self {
            Demand::Statements => plan.shows_statements(),
            Demand::Functions => plan.means().is_some_and(PlanMeans::has_all_functions),
            Demand::ColumnsOf(table) => changed_in(table, |_| true),
            Demand::ValuesOf(table) => changed_in(table, PlannedContents::binds_each_change),
        }
    }

    /// Returns what to do about it.
    pub(super) fn remedy(&self) -> String {
        match self {
            Demand::Statements => {
                "Make the plan by a rehearsal, whose phases pass what differs as parameters, so that it shows each statement.".to_owned()
            }
            Demand::Functions => {
                "Rehearse where the schema's owner may set `track_functions`: GRANT SET ON PARAMETER track_functions TO phasegate_owner.".to_owned()
            }
            Demand::ColumnsOf(table) => format!(
                "Guard the table by contents, and rehearse: SELECT phasegate.protect('{table}', 'contents')."
            ),
            Demand::ValuesOf(table) => format!(
                "Guard the table by contents (SELECT phasegate.protect('{table}', 'contents')), rehearse twice, and use the plan of `confirmed_by`. The phase must allow no tolerance for it."
            ),
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Demand::Statements => f.write_str("the text of each statement"),
            Demand::Functions => f.write_str("the definition of each function that runs"),
            Demand::ColumnsOf(table) => write!(f, "the changed columns of {}", Printable(table)),
            Demand::ValuesOf(table) => write!(f, "the values that {} gets", Printable(table)),
        }
    }
}
