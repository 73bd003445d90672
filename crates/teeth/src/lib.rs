//! Weakens phasegate one line at a time, and shows which test catches each.
//!
//! A *weakening* is one small change that makes the crate or its schema less safe: a check left out, a bound dropped, a
//! token that can be cloned. The files in `weakenings/` list them. `cargo run -p phasegate-teeth` applies one after the
//! other to a copy of the sources, runs the tests that it names, and records which of them failed in `results.toml`;
//! [`page`] makes `docs/teeth.md` of both.

mod control;
mod copy;
mod embedded;
mod mutants;
mod page;
mod ran;
mod switched;
mod trial;
mod weakening;

pub use mutants::{Listed, Missed, MutantRun, Mutants};
pub use page::page;
pub use trial::{Outcome, Results, Trials};
pub use weakening::{Weakening, all};

use std::path::{Path, PathBuf};

/// Returns the root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
