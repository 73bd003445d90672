//! A plan that was read, and that no one has approved yet.

use std::fmt;

use super::{Plan, PlanDifferences, PlannedPhase, Target};
use crate::base::digest::Digest;

/// Holding one proves nothing but its form: a plan that was read to be shown, from bytes of an unknown author.
///
/// [`Plan::inspect`] returns it. It can be displayed and compared, and its digest can be asked for; no runner, operator or
/// approval accepts it. An approver who has read it names its digest, and [`Plan::from_saved`] makes a [`Plan`] of it:
///
/// ```
/// # use phasegate::{Plan, Digest, plan::PlanError};
/// fn shown(file: &[u8]) -> Result<Digest, PlanError> {
///     let plan = Plan::inspect(file)?;
///     println!("{plan}");
///     Ok(plan.digest())
/// }
///
/// fn approved(file: &[u8], by_people: Digest) -> Result<Plan, PlanError> {
///     Plan::from_saved(file, by_people)
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use phasegate::{LiveRunner, Plan, plan::PlanError};
/// fn run(file: &[u8]) -> Result<(), PlanError> {
///     let _ = LiveRunner::new("closing").plan(Plan::inspect(file)?); // nobody has approved it
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedPlan(Plan);

impl InspectedPlan {
    pub(super) fn new(plan: Plan) -> Self {
        InspectedPlan(plan)
    }

    /// Returns the digest that approves the plan, where people name it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest()
    }

    /// Returns the digest of what the plan changes; see [`Plan::change`].
    #[must_use]
    pub fn change(&self) -> Digest {
        self.0.change()
    }

    /// Returns the name of the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        self.0.pipeline()
    }

    /// Returns the database that the plan is for.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.0.target()
    }

    /// Returns its author; see [`Plan::author`].
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.0.author()
    }

    /// Returns its phases, in the order in which they are performed.
    #[must_use]
    pub fn phases(&self) -> &[PlannedPhase] {
        self.0.phases()
    }

    /// Returns how `other` differs from this plan.
    #[must_use]
    pub fn differences(&self, other: &InspectedPlan) -> PlanDifferences {
        self.0.differences(&other.0)
    }
}

impl fmt::Display for InspectedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
