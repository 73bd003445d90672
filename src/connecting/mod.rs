//! Connections as users of psql expect them: settings, their sources in libpq's order, passwords, TLS.

mod connect;
mod conninfo;
mod endpoint;
mod environment;
mod error;
mod password;
mod pgpass;
mod project;
mod role;
mod service;
mod settings;
mod ssl;
mod tls;

pub use connect::Connect;
pub use endpoint::Endpoint;
pub use environment::Environment;
pub use error::EndpointError;
pub use role::Role;
