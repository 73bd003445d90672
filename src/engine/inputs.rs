//! The approved inputs, in the order in which a pipeline asks for them.

use std::collections::BTreeSet;

use crate::plan::{Plan, PlanInputs};

/// The inputs of a plan, each of which a pipeline gets once.
#[derive(Debug)]
pub(super) struct InputsAhead<'run> {
    plan: &'run Plan,
    inputs: &'run PlanInputs,
    /// The places of those that were given, counted from 0.
    given: BTreeSet<usize>,
}

impl<'run> InputsAhead<'run> {
    pub(super) fn of(plan: &'run Plan, inputs: &'run PlanInputs) -> Self {
        InputsAhead {
            plan,
            inputs,
            given: BTreeSet::new(),
        }
    }

    /// Returns the input of the plan's next phase that `is_of` says is meant, after those that were performed; `None` if
    /// there is none, or its input was left out.
    pub(super) fn next(
        &mut self,
        performed: usize,
        is_of: impl Fn(&str) -> bool,
    ) -> Option<Vec<u8>> {
        let ahead = self.plan.phases().iter().enumerate().skip(performed);
        let mut next = ahead.filter(|(place, _)| !self.given.contains(place));
        let (place, _) = next.find(|(_, phase)| is_of(phase.name()))?;
        let input = self.inputs.at(place + 1)?.to_vec();
        self.given.insert(place);
        Some(input)
    }
}
