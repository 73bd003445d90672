use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ::postgres::types::{ToSql, Type};
use serde::Deserialize;

use super::connector::Connector;
use super::journal::{JournalEntry, StoredEntry};
use super::session::Session;
use crate::base::digest::Digest;
use crate::outcome::{BoxError, CommitEvidence, InDoubt, Resolution, ResolveError};

/// The pause between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// How long one try may wait for the attempt's own session to end.
const ONE_TRY: Duration = Duration::from_secs(5);

/// The least time that one try has.
const AT_LEAST: Duration = Duration::from_secs(1);

/// The final outcome of an attempt.
pub(crate) enum Fate {
    Committed {
        entry: Box<JournalEntry>,
        hash: Digest,
    },
    /// Its nonce is claimed: the attempt was rolled back, and cannot be committed later.
    RolledBack,
}

impl InDoubt {
    /// Resolves the in-doubt phase, trying for at most `patience`, through sessions of `connector`, whose role is the
    /// one that performed the phase, or an operator's.
    ///
    /// Resolving claims the outcome instead of only reading it: the session of the attempt is ended if it lives, and
    /// then either the attempt's row exists, or its nonce is claimed, so that the attempt can never be committed late.
    /// Two sessions that resolve the same in-doubt phase get the same result.
    ///
    /// # Errors
    ///
    /// Returns an error if no server responds, or only another server than the one in question; the phase stays in
    /// doubt, and can be resolved later.
    pub fn resolve(
        &self,
        mut connector: impl Connector,
        patience: Duration,
    ) -> Result<Resolution, ResolveError> {
        match resolve(&mut connector, self, patience) {
            Ok(Fate::Committed { entry, hash }) => Ok(Resolution::Committed(Box::new(
                entry.committed(hash, CommitEvidence::Resolved),
            ))),
            Ok(Fate::RolledBack) => Ok(Resolution::RolledBack),
            Err(source) => Err(ResolveError::new(self.phase(), source)),
        }
    }
}

/// Resolves `doubt` by claiming its nonce, trying for at most `patience`.
pub(crate) fn resolve(
    connector: &mut dyn Connector,
    doubt: &InDoubt,
    patience: Duration,
) -> Result<Fate, BoxError> {
    let began = Instant::now();
    loop {
        let error = match try_to_resolve(connector, doubt, patience.saturating_sub(began.elapsed()))
        {
            Ok(fate) => return Ok(fate),
            Err(error) => error,
        };
        if began.elapsed() + BETWEEN_TRIES >= patience {
            return Err(error);
        }
        thread::sleep(BETWEEN_TRIES);
    }
}

/// Tries once. The server responds when the claim is committed, and a commit may wait without limit for a synchronous
/// standby that is down: no timeout of the server bounds that wait. So another thread waits for the response. A claim
/// that is committed after this function has returned is found by the next call that resolves the phase.
fn try_to_resolve(
    connector: &mut dyn Connector,
    doubt: &InDoubt,
    time: Duration,
) -> Result<Fate, BoxError> {
    let session = Session::connect(connector)?;
    let doubt = doubt.clone();
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("phasegate-resolve".to_owned())
        .spawn(move || {
            // The receiver is gone if the claim took too long.
            let _ = tell.send(claim(session, &doubt));
        })?;
    told.recv_timeout(time.max(AT_LEAST)).unwrap_or_else(|_| {
        Err(
            "the server has not answered in time: it may be waiting for a synchronous standby"
                .into(),
        )
    })
}

fn claim(mut session: Session, doubt: &InDoubt) -> Result<Fate, BoxError> {
    #[derive(Deserialize)]
    struct Answer {
        state: String,
        #[serde(flatten)]
        entry: Option<StoredEntry>,
    }
    let identity = session.identify()?;
    // The nonce decides on any node of the same cluster, but not in another cluster.
    if identity.target.system_identifier() != doubt.target().system_identifier()
        || identity.target.database() != doubt.target().database()
    {
        return Err(format!(
            "the connector leads to {}, and the commit in doubt is on {}",
            identity.target,
            doubt.target()
        )
        .into());
    }
    if identity.is_standby {
        return Err("the server is a standby, which cannot resolve anything".into());
    }
    let texts = [doubt.nonce(), doubt.opened_at(), doubt.backend_start()];
    let [nonce, opened_at, backend_start] = &texts;
    let plan = doubt.plan();
    let plan = plan.as_bytes().as_slice();
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&plan, Type::BYTEA),
        (nonce, Type::TEXT),
        (opened_at, Type::TEXT),
        (&doubt.backend_pid(), Type::INT4),
        (backend_start, Type::TEXT),
        (&ONE_TRY.as_secs_f64(), Type::FLOAT8),
    ];
    // In one message: a pooler in transaction mode does not keep a statement that was prepared before.
    let rows = session.client().query_typed(
        "SELECT phasegate.resolve($1, $2::pg_catalog.text::pg_catalog.uuid, \
                $3::pg_catalog.text::pg_catalog.timestamptz, $4::pg_catalog.int4, \
                $5::pg_catalog.text::pg_catalog.timestamptz, pg_catalog.make_interval(secs => $6))",
        &params,
    )?;
    let row = rows.first().ok_or("the server did not answer")?;
    let answer: Answer = serde_json::from_str(row.try_get(0)?)?;
    match (answer.state.as_str(), answer.entry) {
        ("committed", Some(stored)) => Ok(Fate::Committed {
            entry: Box::new(stored.read()?),
            hash: stored.hash,
        }),
        ("rolled back", _) => Ok(Fate::RolledBack),
        (state, _) => Err(format!("the server answered `{state}`").into()),
    }
}
