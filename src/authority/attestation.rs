use super::{ApprovalStatement, Evidence};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::plan::Target;

/// What an authority is asked: was this gate approved, for this plan?
#[derive(Debug, Clone, Copy)]
pub struct ApprovalRequest<'a> {
    pub(crate) gate: &'a str,
    pub(crate) phase: &'a str,
    pub(crate) pipeline: &'a str,
    pub(crate) plan: Digest,
    pub(crate) target: &'a Target,
}

impl<'a> ApprovalRequest<'a> {
    /// The gate's name.
    #[must_use]
    pub fn gate(&self) -> &'a str {
        self.gate
    }

    /// The next phase of the plan that is behind this gate.
    #[must_use]
    pub fn phase(&self) -> &'a str {
        self.phase
    }

    /// The pipeline that is running.
    #[must_use]
    pub fn pipeline(&self) -> &'a str {
        self.pipeline
    }

    /// The digest of the plan that is running.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.plan
    }

    /// The database that the plan is for.
    #[must_use]
    pub fn target(&self) -> &'a Target {
        self.target
    }
}

/// What an authority attests: that this approver made this statement.
///
/// The engine compares gate, plan, target and expiry with the run before it makes a witness of it;
/// an attestation by itself opens nothing. The database compares once more: an operator has
/// [admitted](crate::operator::Operator::admit_approval) it under its nonce, it is for that gate of that plan, it
/// has not expired by the server's clock, and it is spent in the transaction of the phase that it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    statement: ApprovalStatement,
    approver: String,
    evidence: Option<Evidence>,
}

impl Attestation {
    /// Asserts that `approver` made `statement`, and that the caller has verified it.
    ///
    /// Every authority comes down to a call of this function; to review who can approve, search
    /// for its name.
    pub fn assert_verified(statement: ApprovalStatement, approver: impl Into<String>) -> Self {
        Attestation {
            statement,
            approver: approver.into(),
            evidence: None,
        }
    }

    /// Adds what a third party needs to verify it once more; the journal keeps it.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = Some(evidence);
        self
    }

    /// What was approved.
    #[must_use]
    pub fn statement(&self) -> &ApprovalStatement {
        &self.statement
    }

    /// Who approved it.
    #[must_use]
    pub fn approver(&self) -> &str {
        &self.approver
    }

    /// What was signed, and by what rules it was judged; `None` if nothing was signed.
    #[must_use]
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }
}

/// An authority did not attest to an approval.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not approved: {reason}", reason = Printable(.reason))]
pub struct Denied {
    reason: String,
    hint: Option<String>,
    pub(crate) rejected: Option<(String, String)>,
}

impl Denied {
    /// Says why.
    pub fn new(reason: impl Into<String>) -> Self {
        Denied {
            reason: reason.into(),
            hint: None,
            rejected: None,
        }
    }

    /// Adds what to do about it, as full sentences for the person at the terminal.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A person who is entitled to has rejected the plan.
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

/// Says whether a gate was approved: evidence in, attestation out.
///
/// Open for implementation. The provided body refuses, so an empty `impl` approves nothing.
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
    note = "give the runner one before `run`: `.authority(authority)`; it implements `Authority`"
)]
pub trait Authority {
    /// Attests that the gate of `request` was approved, or says why not.
    ///
    /// # Errors
    ///
    /// [`Denied`], with a [hint](Denied::with_hint) of what the person at the terminal should do.
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
