use std::time::{Duration, SystemTime};

use super::Gate;
use super::{ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied};
use crate::plan::Plan;

/// Approvals that were given inside this process, and that are **not signed**.
///
/// The operator of the database [admits](crate::operator::Operator::admit_approval) each of them before it can be
/// spent. Each is bound to a gate, a plan, a target, an expiry and a nonce. This type cannot know who called
/// [`approve`](UnsignedApprovals::approve): use it for demonstrations, for tests, and where other code has verified
/// the approver already.
///
/// ```
/// use phasegate::{Plan, Sg1, approval::UnsignedApprovals};
/// use std::time::Duration;
///
/// fn approvals_for(plan: &Plan) -> UnsignedApprovals {
///     let mut approvals = UnsignedApprovals::new();
///     approvals.approve::<Sg1>(plan, "ada", "reviewed the plan", Duration::from_secs(3600));
///     approvals
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct UnsignedApprovals {
    given: Vec<Attestation>,
}

impl UnsignedApprovals {
    /// Creates an empty set of approvals.
    #[must_use]
    pub fn new() -> Self {
        UnsignedApprovals::default()
    }

    /// Adds an approval of gate `G` for `plan`, by `approver`, that lasts for `lifetime`.
    ///
    /// The approval holds for every phase of the plan that is behind that gate; each phase requests it again. A
    /// lifetime beyond the clock's range approves nothing.
    pub fn approve<G: Gate>(
        &mut self,
        plan: &Plan,
        approver: &str,
        comment: &str,
        lifetime: Duration,
    ) -> &mut Self {
        let now = SystemTime::now();
        let statement = ApprovalStatement {
            decision: Decision::Approve,
            valid_from: now,
            gate: G::NAME.to_owned(),
            plan: plan.digest(),
            target: plan.target().clone(),
            expires: now.checked_add(lifetime).unwrap_or(now),
            nonce: format!("unsigned-{}", crate::base::secret::unique()),
            comment: comment.to_owned(),
        };
        self.given
            .push(Attestation::assert_verified(statement, approver));
        self
    }
}

impl UnsignedApprovals {
    /// Returns the approvals so far, for an operator to admit.
    #[must_use]
    pub fn attestations(&self) -> &[Attestation] {
        &self.given
    }
}

impl Authority for UnsignedApprovals {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let fits = |given: &Attestation| {
            let statement = given.statement();
            statement.gate == request.gate() && statement.plan == request.plan()
        };
        self.given
            .iter()
            .find(|given| fits(given))
            .cloned()
            .ok_or_else(|| {
                Denied::new(format!(
                    "nobody has approved gate `{}` of plan {} for phase `{}`",
                    request.gate(),
                    request.plan(),
                    request.phase()
                ))
                .with_hint(
                    "Show the plan to an approver, and give the approval to the authority of this run.",
                )
            })
    }
}
