//! All communication with PostgreSQL: the connector, the session of a run, the transaction of a phase, and the client
//! side of the enforcement in the database, whose server side is the SQL in `sql/`.
//!
//! The phases of a run share a session, which is reset before each but the first, and closed after a phase that did
//! not commit: no setting, lock or temporary object of one phase can reach the next.

mod admission;
mod admitted_approvals;
mod admitted_plan;
mod application_name;
mod backend;
mod batch;
mod blocking_session;
mod connector;
mod copy;
mod guard;
mod journal;
mod lease_switch;
#[cfg(feature = "program")]
mod measures;
mod operator;
#[cfg(feature = "program")]
mod overview;
mod params;
mod preflight;
mod read_only;
mod rehearsing;
mod remedy;
mod resolving;
#[cfg(feature = "install")]
mod schema;
mod session;
mod statement;
mod traces;
mod tx;
#[cfg(feature = "program")]
mod watching;

pub use admission::{PlanAdmission, Rejected};
pub use admitted_approvals::AdmittedApprovals;
pub use admitted_plan::AdmittedPlanError;
pub(crate) use application_name::{Publisher, opened as opened_name, rehearsed as rehearsed_name};
pub(crate) use backend::{EndBackend, end_backend};
pub use batch::{Discard, RowBatch, RowParams};
pub(crate) use blocking_session::blocking_run;
pub use connector::{ConnectError, Connection, Connector, PostgresConnector, Warnings};
pub use copy::{CopyIn, CopyOut};
pub use guard::{Guard, protect, protect_as, unprotect};
pub use journal::{BrokenChain, Journal, JournalEntry, JournalError, SpentApproval};
pub(crate) use journal::{NO_SUCH_PLAN, StoredEntry, auditor_hint, count_journalled};
pub use lease_switch::LeaseSwitch;
pub(crate) use lease_switch::{
    LeaseState, lease_left, lease_state, read_off, read_off_once_committed, switched_off_since,
};
#[cfg(feature = "program")]
pub(crate) use measures::{Measures, measures};
pub use operator::{Housekept, Operator, OperatorError, SwitchStatus, SwitchedOff};
#[cfg(feature = "program")]
pub(crate) use overview::{PlanRecord, Standing, plans, server_facts, standing, switch_turns};
pub(crate) use preflight::{Preflighted, preflight};
pub use read_only::{ReadOnlyError, ReadOnlySession, ReadRows};
pub(crate) use rehearsing::{Measured, RehearsalRequest, RehearsedRequest, Rehearsing};
pub(crate) use resolving::{Fate, resolve};
#[cfg(feature = "program")]
pub(crate) use schema::schema_sql;
#[cfg(feature = "install")]
#[cfg_attr(docsrs, doc(cfg(feature = "install")))]
pub use schema::{InstallError, Installed, install};
pub(crate) use session::{CloseError, Closed, OpenError, OpenRequest, Opened, Session};
pub use statement::{PreparedStatement, Sql, SqlError};
pub(crate) use tx::Statements;
pub use tx::{PhaseTx, RowStream};
#[cfg(feature = "program")]
pub(crate) use watching::{Neighbour, Watched, watched, watched_plan};
