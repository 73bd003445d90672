//! Test doubles for your own tests, and a real PostgreSQL to run them on.
//!
//! | double | what it is for |
//! |---|---|
//! | [`TripwireSimulator`], [`TripwireAdapter`], [`TripwireConnector`], [`TripwireAuthority`] | panic if they are called |
//! | [`Recorder`] | wraps a collaborator and records every call, in one [`Calls`] for all of them |
//! | [`ScriptedSwitch`] | a kill switch that reads from a list |
//! | [`ApprovesEverything`] | an authority that approves everything |
//! | `SshSigner`, with the feature `ssh` | signs as `ssh-keygen` would |
//!
//! They are for tests: if any crate of a program enables the feature `testing`, all of the program can use
//! [`ApprovesEverything`].
//!
//! There is no double for a transaction, a rollback, or a lost connection. [`TestPostgres`] finds or starts a server,
//! and gives each test a database of its own (Unix only).

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
