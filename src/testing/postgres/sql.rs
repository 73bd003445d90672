//! Statements of the harness, each with a time limit.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use super::error::ServerError;

/// The time limit of one administrative operation.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Connects, works and disconnects, or returns an error after `limit`.
///
/// Runs on a thread of its own: the driver has no bound on a handshake or a response, and panics when it is called
/// from within an async runtime, where a test may run.
pub(super) fn session<T: Send + 'static>(
    config: &Config,
    doing: impl Into<String>,
    limit: Duration,
    work: impl FnOnce(&mut Client) -> Result<T, postgres::Error> + Send + 'static,
) -> Result<T, ServerError> {
    let doing = doing.into();
    let mut config = config.clone();
    config.connect_timeout(limit);
    let (answer, answered) = mpsc::channel();
    let spawned = thread::Builder::new()
        .name("postgres-harness".into())
        .spawn(move || {
            let result = config.connect(NoTls).and_then(|mut client| {
                let result = work(&mut client)?;
                client.close().map(|()| result)
            });
            // The receiver is gone only after the limit.
            let _ = answer.send(result);
        });
    if let Err(error) = spawned {
        return Err(ServerError::Unfit {
            reason: format!("cannot {doing}: no thread for it: {error}"),
            remedy: None,
        });
    }
    match answered.recv_timeout(limit) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ServerError::Sql { doing, error }),
        Err(_) => Err(ServerError::NoAnswer { doing, limit }),
    }
}
