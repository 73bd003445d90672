//! Approvals: what is asked, who is asked, and what they attest to.
//!
//! An [`Authority`] turns evidence into an [`Attestation`]; the engine checks that against the run
//! and makes the witness [`Approved`](crate::Approved) of it. How evidence is had (a form, a
//! ticket, a signature) is the authority's business. One that verifies signatures does not ship
//! yet; [`UnsignedApprovals`] says in its name what it is.

mod authority;
mod evidence;
mod granted;
mod unsigned;

pub use authority::{ApprovalRequest, Attestation, Authority, Denied, Statement};
pub use evidence::{Evidence, SignedStatement};
pub(crate) use granted::Granted;
pub use unsigned::UnsignedApprovals;
