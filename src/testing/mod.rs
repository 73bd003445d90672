//! Doubles for your own suites, and a real PostgreSQL to run them on.
//!
//! | double | what it is for |
//! |---|---|
//! | [`TripwireSimulator`], [`TripwireAdapter`], [`TripwireConnector`], [`TripwireAuthority`] | panic if they are called |
//! | [`Recorder`] | stands before a collaborator and writes down every call, in one [`Calls`] for all of them |
//! | [`ScriptedSwitch`] | a kill switch that answers from a list |
//! | [`ApprovesEverything`] | an authority that says yes |
//! | `SshSigner`, with the feature `ssh` | signs as `ssh-keygen` would |
//!
//! They are for tests: where any crate of a program turns the feature `testing` on,
//! [`ApprovesEverything`] is within reach of all of it.
//!
//! A transaction, a rollback, a lost connection: these are not doubled. [`TestPostgres`] finds or
//! starts a server, and gives each test a database of its own (Unix only).

mod approves_everything;
#[cfg(unix)]
mod postgres;
mod recorder;
mod scripted_switch;
#[cfg(feature = "ssh")]
mod ssh_signer;
mod tripwire;

pub use approves_everything::ApprovesEverything;
#[cfg(unix)]
pub use postgres::{
    ScratchDatabase, ScratchRole, ServerError, Shutdown, Source, TestPostgres, TestPostgresBuilder,
};
pub use recorder::{Calls, Recorder};
pub use scripted_switch::ScriptedSwitch;
#[cfg(feature = "ssh")]
#[cfg_attr(docsrs, doc(cfg(feature = "ssh")))]
pub use ssh_signer::SshSigner;
pub use tripwire::{TripwireAdapter, TripwireAuthority, TripwireConnector, TripwireSimulator};
