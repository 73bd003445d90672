//! Everything that talks to PostgreSQL: the connector, the session of one phase, its transaction,
//! and the enforcement in the database, whose own part is the SQL in `sql/`.
//!
//! Each phase has a session of its own, which is closed when the phase has ended, however it ended:
//! no setting, lock, cursor or temporary object of one phase can reach the next.

mod admission;
mod admitted;
mod connector;
mod copy;
mod guard;
mod journal;
mod lease_switch;
mod operator;
mod params;
mod read_only;
mod rehearsing;
mod rows;
#[cfg(feature = "install")]
mod schema;
mod session;
mod settling;
mod statement;
mod tx;

pub use admission::{PlanAdmission, Rejected};
pub(crate) use admitted::{AdmittedRow, read_admitted, read_standing};
pub use connector::{ConnectError, Connection, Connector, PostgresConnector, Warnings};
pub use copy::{CopyIn, CopyOut};
pub use guard::{protect, unprotect};
pub(crate) use journal::StoredEntry;
pub use journal::{BrokenChain, Journal, JournalEntry, JournalError, SpentApproval};
pub use lease_switch::LeaseSwitch;
pub(crate) use lease_switch::read_off;
pub use operator::{Holder, Operator, OperatorError, SwitchStatus, SwitchedOff};
pub use read_only::{ReadOnlyError, ReadOnlySession, ReadRows};
pub(crate) use rehearsing::{Measured, RehearsalRequest, RehearsedRequest, Rehearsing};
pub use rows::{Ignored, RowCalls, RowParams};
#[cfg(feature = "install")]
#[cfg_attr(docsrs, doc(cfg(feature = "install")))]
pub use schema::{InstallError, Installed, install};
pub(crate) use session::{CloseError, Closed, OpenError, OpenRequest, Opened, Session};
pub(crate) use settling::{Fate, settle};
pub use statement::{PreparedStatement, Sql, StatementError};
pub use tx::{PhaseTx, Rows};
