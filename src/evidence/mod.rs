//! The evidence of one run, for a reader who was not present and trusts none of the participants.

mod bundle;
mod check;
mod files;
mod in_toto;
mod page;

#[cfg(feature = "report")]
pub(crate) use bundle::Admitted;
pub use bundle::{EvidenceBundle, EvidenceError};
pub use check::EvidenceFlaw;
pub use files::BundleNotWritten;
pub use in_toto::InTotoStatement;
