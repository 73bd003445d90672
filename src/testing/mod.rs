//! Doubles for your own tests, a fake PostgreSQL, and a real one.
//!
//! | name | what it is for |
//! |---|---|
//! | [`dry`] | what a pipeline does, as values: phases, gates, order, effects |
//! | [`TripwireSimulator`], [`TripwireAdapter`], [`TripwireConnector`], [`TripwireAuthority`] | panic if they are called |
//! | [`Recorder`] | wraps a collaborator and records every call, in one [`Calls`] for all of them |
//! | [`Canned`] | a simulator and an adapter of every phase, with canned results |
//! | [`TestSwitch`], [`ScriptedSwitch`] | a kill switch in the test's hand; one that reads from a list |
//! | [`TestAuthority`], [`ApprovesEverything`] | an authority in the test's hand; one that approves everything |
//! | [`TestClock`] | a clock in the test's hand |
//! | `FakePostgres` | a fake server, to which the real driver connects (Unix only) |
//! | `TestPostgres` | a real server, with a database for each test (Unix only) |
//! | [`compare`] | compares what a simulator predicts with what a rehearsal measures |
//! | `SshSigner`, with the feature `ssh` | signs as `ssh-keygen` would |
//!
//! None of them is reachable without the feature `testing`. If any crate of a build enables it, all of that build can use
//! [`ApprovesEverything`]: `docs/testing.md` tells what a CI must build.

mod approves_everything;
mod canned;
mod clock;
mod compare;
mod dry;
#[cfg(unix)]
mod postgres;
mod recorder;
mod scripted_switch;
#[cfg(feature = "ssh")]
mod ssh_signer;
mod test_authority;
mod test_switch;
mod tripwire;
#[cfg(unix)]
mod wire;

pub use approves_everything::ApprovesEverything;
pub use canned::Canned;
pub use clock::TestClock;
pub use compare::{PredictionDiffers, compare};
pub use dry::{DryPhase, DryPipeline, dry};
#[cfg(unix)]
pub use postgres::{
    PreparedDatabase, ScratchDatabase, ScratchRole, ServerError, Shutdown, Source, TestPostgres,
    TestPostgresBuilder,
};
pub use recorder::{Calls, Recorder};
pub use scripted_switch::ScriptedSwitch;
#[cfg(feature = "ssh")]
#[cfg_attr(docsrs, doc(cfg(feature = "ssh")))]
pub use ssh_signer::SshSigner;
pub use test_authority::TestAuthority;
pub use test_switch::TestSwitch;
pub use tripwire::{TripwireAdapter, TripwireAuthority, TripwireConnector, TripwireSimulator};
#[cfg(unix)]
pub use wire::{FakePostgres, RecordedStatement, ScriptedStatement, SqlRefusal, SqlValue};
