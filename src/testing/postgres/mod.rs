//! A real PostgreSQL for tests and demos.
//!
//! ```no_run
//! use phasegate::testing::TestPostgres;
//!
//! let server = TestPostgres::find_or_start()?;
//! // PostgreSQL 15.18 from /usr/lib/postgresql/15/bin, started privately
//! println!("{}", server.source());
//! let database = server.create_database()?;
//! let runner = database.create_role("runner")?;
//! let client = runner.config().connect(postgres::NoTls)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A private server listens on a Unix socket in a directory of mode 0700 and on nothing else. It
//! and its directory go when the [`TestPostgres`] does, and when the program does, be it by
//! SIGKILL: a small shell script holds the other end of a pipe from us. So a `static
//! OnceLock<TestPostgres>`, which is never dropped, is fine: one server per test binary, one
//! [`ScratchDatabase`] per test. Tests that stop or kill a server have one of their own, from
//! [`TestPostgres::builder`].
//!
//! Root may run this: the server then runs as `postgres`, else as `nobody`. Nothing here blocks
//! without a bound, and all of it may be called within an async runtime.

mod account;
mod builder;
mod directory;
mod embedded;
mod error;
mod given;
mod installed;
mod private;
mod random;
mod role;
mod scratch;
mod server;
mod source;
mod sql;
mod supervisor;

pub use builder::TestPostgresBuilder;
pub use error::ServerError;
pub use private::Shutdown;
pub use role::ScratchRole;
pub use scratch::ScratchDatabase;
pub use server::TestPostgres;
pub use source::Source;
