use std::time::Duration;

use ::postgres::tls::{MakeTlsConnect, TlsConnect};
use ::postgres::{Client, Config, NoTls, Socket};

use crate::outcome::Foreign;

/// A connector gave no connection.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ConnectError {
    reason: String,
    source: Option<Foreign>,
}

impl ConnectError {
    /// Says why there is no connection, and what to do about it.
    pub fn new(reason: impl Into<String>) -> Self {
        ConnectError {
            reason: reason.into(),
            source: None,
        }
    }

    pub(crate) fn from_foreign(error: Foreign) -> Self {
        ConnectError {
            reason: crate::outcome::describe(&*error),
            source: Some(error),
        }
    }
}

impl From<::postgres::Error> for ConnectError {
    fn from(error: ::postgres::Error) -> Self {
        ConnectError::from_foreign(Box::new(error))
    }
}

/// Gives the engine the session in which it performs one phase.
///
/// Called once for each attempt at a live phase, after every check that needs no server, and never
/// in a dry run. The session must be a new one: the engine closes it when the phase has ended.
///
/// Open for implementation. The provided body refuses, so an empty `impl` reaches nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connector",
    label = "nothing here leads to a database",
    note = "give the runner one before `run`: `.connector(connector)`, for example `PostgresConnector`"
)]
pub trait Connector {
    /// Opens a session.
    ///
    /// # Errors
    ///
    /// When there is none to be had; the phase is then refused.
    fn connect(&mut self) -> Result<Client, ConnectError> {
        Err(ConnectError::new("this connector leads nowhere"))
    }
}

impl<C: Connector + ?Sized> Connector for &mut C {
    fn connect(&mut self) -> Result<Client, ConnectError> {
        (**self).connect()
    }
}

impl<C: Connector + ?Sized> Connector for Box<C> {
    fn connect(&mut self) -> Result<Client, ConnectError> {
        (**self).connect()
    }
}

/// Connects with a [`Config`] of the driver, over TLS if it is given a connector for that.
///
/// Where the configuration sets none, it bounds the wait: 10 s to connect, and 30 s until a peer
/// that answers nothing counts as lost.
#[derive(Debug, Clone)]
pub struct PostgresConnector<T = NoTls> {
    config: Config,
    tls: T,
}

impl PostgresConnector {
    /// Connects without TLS: for a Unix socket, or a network that needs none.
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
        PostgresConnector { config, tls }
    }
}

impl<T> Connector for PostgresConnector<T>
where
    T: MakeTlsConnect<Socket> + Clone + 'static + Send,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&mut self) -> Result<Client, ConnectError> {
        Ok(self.config.connect(self.tls.clone())?)
    }
}
