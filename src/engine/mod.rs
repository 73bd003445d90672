//! The engine: performs phases, and checks everything again before, during and after.
//!
//! The engine has no type parameter: a [`Job`] goes in, with the names and bytes of a phase and a function that
//! performs it; a [`Done`] comes out, or a [`PhaseError`](crate::outcome::PhaseError). There is one file for each step
//! of a live phase, in the order of the steps: `live` (the checks that touch nothing), `open`, `perform`, `close`,
//! `resolve`.

mod close;
mod dry;
mod inputs;
mod job;
mod live;
mod open;
mod perform;
mod prepare;
mod rehearsal;
mod rehearsed;
mod rehearsed_contents;
mod resolve;
mod stop;
mod timeouts;
mod verified_approval;
mod watch;

pub(crate) use dry::DryEngine;
pub(crate) use job::{Done, Execution, Input, Job, NotPerformed, Simulation, ValidInput};
pub(crate) use live::LiveEngine;
pub(crate) use live::{LiveOptions, Progress};
pub(crate) use rehearsal::RehearsalEngine;
pub use rehearsed::{FailedRehearsal, RehearsedPhase};
pub use stop::StopHandle;
pub use timeouts::Timeouts;
