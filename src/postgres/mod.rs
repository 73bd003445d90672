//! Everything that talks to PostgreSQL: the connector, the session of one phase, its transaction.
//!
//! Each phase has a session of its own, which is closed when the phase has ended, however it ended:
//! no setting, lock, cursor or temporary object of one phase can reach the next.

mod connector;
mod params;
mod session;
mod statement;
mod tx;

pub use connector::{ConnectError, Connector, PostgresConnector};
pub(crate) use session::{CloseError, Identity, Session};
pub use statement::{PreparedStatement, Sql, StatementError};
pub use tx::{PhaseTx, Rows};
