//! A fake PostgreSQL at the wire; the entry is [`FakePostgres`].
//!
//! `pgwire` would bring an async server, and with it a runtime. `postgres-protocol`, which the driver uses, decodes
//! what a server sends and encodes what a client sends, and neither the other way round. So the few messages of a
//! server are encoded here, over `bytes`, which the crate has already; the real driver, which decodes them in every
//! test, is the check that they are right.
//!
//! What the fake knows of this crate's own messages is in the folder `own`, and nowhere else.

mod decode;
mod encode;
mod own;
mod record;
mod refusal;
mod script;
mod server;
mod session;
mod sql;
mod state;
mod transaction;
mod value;
mod world;

pub use record::RecordedStatement;
pub use refusal::SqlRefusal;
pub use script::ScriptedStatement;
pub use server::FakePostgres;
pub use value::SqlValue;
