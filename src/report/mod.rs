//! The report of a run, for people: one file that is kept. It is computed from the evidence alone.

mod checks;
mod html;
mod markdown;
mod model;
#[cfg(test)]
mod tests;
mod timeline;

pub use model::Report;
