use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::postgres::error::DbError;
use ::postgres::tls::{MakeTlsConnect, TlsConnect};
use ::postgres::{Client, Config, NoTls, Socket};

use crate::base::printable::Printable;
use crate::outcome::{message_of, server_hint};

/// A connector returned no connection.
#[derive(Debug, thiserror::Error)]
#[error("{reason}", reason = Printable(.reason))]
pub struct ConnectError {
    reason: String,
    hint: Option<String>,
}

impl ConnectError {
    /// Creates an error with the reason why there is no connection.
    pub fn new(reason: impl Into<String>) -> Self {
        ConnectError {
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds the remedy, as full sentences.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn from_foreign(error: &(dyn std::error::Error + 'static)) -> Self {
        ConnectError {
            reason: message_of(error),
            hint: server_hint(error),
        }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "connect_failed"
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = self.hint.as_deref()?;
        Some(Printable(hint).to_string())
    }
}

impl From<::postgres::Error> for ConnectError {
    fn from(error: ::postgres::Error) -> Self {
        ConnectError::from_foreign(&error)
    }
}

/// A session that a [`Connector`] returns, with the server's warnings in it.
///
/// A `Client` converts by `into()`; its warnings are then lost, and a commit that did not reach its synchronous
/// standby looks like one that did.
pub struct Connection {
    client: Client,
    warnings: Warnings,
    reusable: bool,
}

impl Connection {
    /// Creates a connection from a session whose warnings go into `warnings`, by the [callback](Warnings::callback) of
    /// its `Config`.
    #[must_use]
    pub fn new(client: Client, warnings: Warnings) -> Self {
        Connection {
            client,
            warnings,
            reusable: false,
        }
    }

    /// Lets the phases of a run share this session, which is faster than a new one for each: between two phases it is
    /// reset with `RESET ALL` and the like. Only for a session that nothing but its `Config` has changed: what the
    /// connector itself has `SET` in it would be lost. The sessions of [`PostgresConnector`] are reusable.
    #[must_use]
    pub fn reusable(mut self) -> Self {
        self.reusable = true;
        self
    }

    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
    }

    pub(crate) fn into_parts(self) -> (Client, Warnings) {
        (self.client, self.warnings)
    }
}

impl From<Client> for Connection {
    fn from(client: Client) -> Self {
        Connection::new(client, Warnings::default())
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection(..)")
    }
}

/// The server's warnings in one session, in order.
///
/// ```
/// # use phasegate::connect::{ConnectError, Connection, Connector, Warnings};
/// struct Mine(postgres::Config);
///
/// impl Connector for Mine {
///     fn connect(&mut self) -> Result<Connection, ConnectError> {
///         let warnings = Warnings::default();
///         let mut config = self.0.clone();
///         config.notice_callback(warnings.callback());
///         Ok(Connection::new(config.connect(postgres::NoTls)?, warnings))
///     }
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Returns a callback for `postgres::Config::notice_callback`.
    pub fn callback(&self) -> impl Fn(DbError) + Send + Sync + 'static {
        let warnings = Arc::clone(&self.0);
        move |notice| {
            if notice.severity() == "WARNING" {
                let mut warnings = warnings.lock().unwrap_or_else(PoisonError::into_inner);
                warnings.push(format!("{} ({})", notice.message(), notice.code().code()));
            }
        }
    }

    /// Returns the warnings so far, and clears them.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Opens the sessions of the engine, a new one each time: for the first live phase of a run, after every check that
/// needs no server; for the next attempt after one that was rolled back; to end a phase that has exceeded its time; to
/// resolve an in-doubt commit; and for the whole of a rehearsal. The later phases of a run share a session that is
/// [reusable](Connection::reusable), and get a new one each where it is not. A dry run never calls it.
///
/// The engine closes each session after its use, and refuses one that is older than the call that returned it: what an
/// earlier user left in it (settings, locks, temporary tables) would reach the phase. So do not put a pooler that
/// reuses sessions, like pgbouncer, in between.
///
/// Open for implementation. The provided body returns an error, so that an empty `impl` reaches no database.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connector",
    label = "nothing here leads to a database",
    note = "of a `postgres::Config`, make one with `PostgresConnector::no_tls(config)` or `PostgresConnector::tls(config, tls)`"
)]
pub trait Connector: Send {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// Returns an error if no session can be opened; the phase is then refused.
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let error = ConnectError::new("no connector configured");
        Err(error.with_hint("Implement `Connector::connect`, or use `PostgresConnector`."))
    }
}

#[diagnostic::do_not_recommend]
impl<C: Connector + ?Sized> Connector for &mut C {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        (**self).connect()
    }
}

#[diagnostic::do_not_recommend]
impl<C: Connector + ?Sized> Connector for Box<C> {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        (**self).connect()
    }
}

/// Returns the error for a call within an async runtime, with its remedy.
fn within_a_runtime() -> ConnectError {
    ConnectError::new("called within an async runtime, whose thread it would block")
        .with_hint("Call it from `tokio::task::spawn_blocking`, or from a thread of its own.")
}

/// Returns whether the driver has panicked because the thread belongs to a runtime: the driver drives its connections
/// by a runtime of its own.
fn is_within_a_runtime(panic: &(dyn Any + Send)) -> bool {
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    said.is_some_and(|said| said.contains("Cannot start a runtime from within a runtime"))
}

type Listener = Arc<dyn Fn(&DbError) + Send + Sync>;

/// Connects with a [`Config`] of the driver, over TLS if it is given a connector for that.
///
/// Where the configuration sets no bound, the connector bounds the wait: 10 s to connect, and 30 s until a peer that
/// does not respond counts as lost. The connector receives the server's notices itself, so that a `notice_callback` of
/// the configuration is not called; see [`on_notice`](PostgresConnector::on_notice).
#[derive(Clone)]
pub struct PostgresConnector<T = NoTls> {
    config: Config,
    tls: T,
    on_notice: Option<Listener>,
}

impl PostgresConnector {
    /// Connects without TLS: for a Unix socket, or a network that does not need TLS.
    #[must_use]
    pub fn no_tls(config: Config) -> Self {
        PostgresConnector::tls(config, NoTls)
    }
}

impl<T> PostgresConnector<T> {
    /// Connects over TLS, through `tls` (`postgres-native-tls`, `tokio-postgres-rustls`).
    #[must_use]
    pub fn tls(mut config: Config, tls: T) -> Self {
        const UNANSWERED: Duration = Duration::from_secs(30);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNANSWERED);
        }
        if config.get_keepalives_interval().is_none() {
            config
                .keepalives_idle(Duration::from_secs(10))
                .keepalives_interval(Duration::from_secs(5))
                .keepalives_retries(4);
        }
        PostgresConnector {
            config,
            tls,
            on_notice: None,
        }
    }

    /// Calls `f` with every notice of the server, in place of `Config::notice_callback`.
    #[must_use]
    pub fn on_notice(mut self, f: impl Fn(&DbError) + Send + Sync + 'static) -> Self {
        self.on_notice = Some(Arc::new(f));
        self
    }
}

impl<T> Connector for PostgresConnector<T>
where
    T: MakeTlsConnect<Socket> + Clone + 'static + Send,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let warnings = Warnings::default();
        let (hear, tell) = (warnings.callback(), self.on_notice.clone());
        let mut config = self.config.clone();
        config.notice_callback(move |notice| {
            if let Some(tell) = &tell {
                tell(&notice);
            }
            hear(notice);
        });
        let connect = AssertUnwindSafe(|| config.connect(self.tls.clone()));
        let client = match catch_unwind(connect) {
            Ok(client) => client?,
            Err(panic) if is_within_a_runtime(&*panic) => {
                return Err(within_a_runtime());
            }
            Err(panic) => resume_unwind(panic),
        };
        Ok(Connection::new(client, warnings).reusable())
    }
}

impl<T> fmt::Debug for PostgresConnector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresConnector({:?})", self.config)
    }
}
