//! The evidence of one run, for somebody who was not there and trusts nobody who was.

mod bundle;
mod check;
mod files;
mod in_toto;
mod page;

pub use bundle::{EvidenceBundle, EvidenceError};
pub use check::EvidenceFlaw;
pub use files::BundleNotWritten;
pub use in_toto::InTotoStatement;
