//! The evidence of one run, for a reader who was not present and trusts none of the participants.

#[cfg(feature = "ssh")]
mod again;
mod bundle;
mod check;
mod files;
mod in_toto;
mod page;

#[cfg(feature = "report")]
pub(crate) use bundle::Admitted;
pub use bundle::{AddInputsError, EvidenceBundle, EvidenceError};
pub use check::EvidenceFlaw;
pub use files::BundleNotWritten;
#[cfg(feature = "program")]
pub(crate) use files::SCRIPT as VERIFY;
pub use in_toto::InTotoStatement;
