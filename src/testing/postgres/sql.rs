//! Statements of the harness, each bounded in time.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use super::error::ServerError;

/// How long one piece of administration may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Connects, works and disconnects, or gives up after `limit`.
///
/// On a thread of its own: the driver has no bound on a handshake or an answer, and panics when it
/// is called from within an async runtime, which a test may well be.
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
            // The receiver is gone only when it has given up.
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
