//! A real PostgreSQL: found or started, supervised, and removed when the program ends. The entry is [`TestPostgres`].

mod account;
mod builder;
mod directory;
mod embedded;
mod error;
mod given;
mod installed;
mod prepared;
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
pub use prepared::PreparedDatabase;
pub use private::Shutdown;
pub use role::ScratchRole;
pub use scratch::ScratchDatabase;
pub use server::TestPostgres;
pub use source::Source;
