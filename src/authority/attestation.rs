use super::{ApprovalStatement, Evidence};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::plan::Target;

/// A request to an authority: was this gate approved, for this plan?
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRequest<'a> {
    pub(crate) gate: &'a str,
    pub(crate) phase: &'a str,
    pub(crate) pipeline: &'a str,
    pub(crate) plan: Digest,
    pub(crate) target: &'a Target,
}

impl<'a> ApprovalRequest<'a> {
    /// Returns the gate's name.
    #[must_use]
    pub fn gate(&self) -> &'a str {
        self.gate
    }

    /// Returns the next phase of the plan that is behind this gate.
    #[must_use]
    pub fn phase(&self) -> &'a str {
        self.phase
    }

    /// Returns the pipeline that is running.
    #[must_use]
    pub fn pipeline(&self) -> &'a str {
        self.pipeline
    }

    /// Returns the digest of the plan that is running.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.plan
    }

    /// Returns the database that the plan is for.
    #[must_use]
    pub fn target(&self) -> &'a Target {
        self.target
    }
}

/// An authority's assertion that this approver made this statement.
///
/// The engine compares gate, plan, target and expiry with the run before it creates an [`Approval`](crate::Approval)
/// from it; an attestation by itself opens nothing. The database checks once more that an operator has
/// [admitted](crate::operator::Operator::admit_approval) it under its nonce, that it is for that gate of that plan,
/// and that it has not expired by the server's clock. It is spent in the transaction of the phase that it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    statement: ApprovalStatement,
    approver: String,
    evidence: Option<Evidence>,
}

impl Attestation {
    /// Asserts that `approver` made `statement`, and that the caller has verified this.
    ///
    /// Every authority ends in a call of this function: to review who can approve, search for its name.
    pub fn assert_verified(statement: ApprovalStatement, approver: impl Into<String>) -> Self {
        Attestation {
            statement,
            approver: approver.into(),
            evidence: None,
        }
    }

    /// Adds the evidence that a third party needs to verify it again; the journal stores it.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// Returns the statement.
    #[must_use]
    pub fn statement(&self) -> &ApprovalStatement {
        &self.statement
    }

    /// Returns the approver.
    #[must_use]
    pub fn approver(&self) -> &str {
        &self.approver
    }

    /// Returns the signed statements, with the rules by which they were verified; `None` if the approval is unsigned.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }
}

/// Why an authority did not attest to an approval.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not approved: {reason}", reason = Printable(.reason))]
pub struct Denied {
    reason: String,
    hint: Option<String>,
    pub(crate) rejected: Option<(String, String)>,
}

impl Denied {
    /// Creates a denial with this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Denied {
            reason: reason.into(),
            hint: None,
            rejected: None,
        }
    }

    /// Adds the remedy, as full sentences for the person at the terminal.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Creates the denial for a plan that an eligible approver has rejected.
    pub fn rejected(by: impl Into<String>, comment: impl Into<String>) -> Self {
        let (by, comment) = (by.into(), comment.into());
        Denied {
            reason: format!("{by} has rejected the plan: {comment}"),
            hint: Some("Make a new plan, and have that approved.".to_owned()),
            rejected: Some((by, comment)),
        }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "denied"
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = self.hint.as_deref()?;
        Some(Printable(hint).to_string())
    }
}

/// Decides whether a gate was approved, and returns the attestation.
///
/// Open for implementation. The provided body denies, so that an empty `impl` approves nothing.
///
/// ```
/// use phasegate::approval::{ApprovalRequest, ApprovalStatement, Attestation, Authority, Denied};
///
/// /// Approvals out of a change-management system that has verified who asked.
/// struct Tickets { closed: Vec<(ApprovalStatement, String)> }
///
/// impl Authority for Tickets {
///     fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
///         self.closed
///             .iter()
///             .position(|(s, _)| s.gate == request.gate() && s.plan == request.plan())
///             .map(|at| self.closed.remove(at))
///             .map(|(statement, who)| Attestation::assert_verified(statement, who))
///             .ok_or_else(|| {
///                 let denied = Denied::new(format!("no ticket for plan {}", request.plan()));
///                 denied.with_hint("Open one, and have it closed by an approver.")
///             })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an approval authority",
    label = "nothing here says whether a gate was approved",
    note = "give the runner one before `run`: `.authority(authority)`; it implements `Authority`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-an-authority"
)]
pub trait Authority {
    /// Attests that the gate of `request` was approved, or denies it with a reason.
    ///
    /// # Errors
    ///
    /// Returns a [`Denied`], with a [hint](Denied::with_hint) for the person at the terminal.
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        Err(Denied::new(format!(
            "this authority approves nothing, and so not gate `{}`",
            request.gate()
        )))
    }
}

#[diagnostic::do_not_recommend]
impl<T: Authority + ?Sized> Authority for &mut T {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        (**self).attest(request)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Authority + ?Sized> Authority for Box<T> {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        (**self).attest(request)
    }
}
