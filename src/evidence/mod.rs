//! The evidence of one run, for a reader who was not there and trusts none of those who were.

mod bundle;
mod check;
mod files;
mod in_toto;
mod page;

pub use bundle::{EvidenceBundle, EvidenceError};
pub use check::EvidenceFlaw;
pub use files::BundleNotWritten;
pub use in_toto::InTotoStatement;
