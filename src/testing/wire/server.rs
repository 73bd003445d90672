//! The fake server itself.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use postgres::Config;

use super::own::Schema;
use super::record::RecordedStatement;
use super::script::ScriptedStatement;
use super::session;
use super::world::World;
use crate::connect::PostgresConnector;
use crate::testing::clock::TestClock;
use crate::{Plan, Target};

const PORT: u16 = 5432;

/// A fake PostgreSQL in this process, to which the real driver connects through a Unix socket in a directory of its
/// own: no database, no secret, no network.
///
/// It returns what a test has scripted, keeps the state of transactions as a server does, knows the messages by which
/// this crate opens and closes a live phase, and records every statement. **What it does not know, it refuses** with an
/// error that names the statement and says how to script it.
///
/// It is no database: it holds no rows, counts no effects, enforces no guard and no privilege, and knows neither `COPY`
/// nor rehearsals. A test of any of these needs a [`TestPostgres`](crate::testing::TestPostgres).
///
/// ```
/// use phasegate::testing::{FakePostgres, ScriptedStatement};
/// use postgres::types::Type;
///
/// let fake = FakePostgres::start([
///     ScriptedStatement::beginning("UPDATE account").takes([Type::TEXT]).changes(1),
/// ])?;
/// let mut client = fake.config().connect(postgres::NoTls)?;
/// let mut tx = client.transaction()?;
/// assert_eq!(tx.execute("UPDATE account SET open = false WHERE number = $1", &[&"4711"])?, 1);
/// assert!(tx.execute("DROP TABLE account", &[]).is_err());   // the test has not scripted that
/// tx.rollback()?;
/// assert_eq!(fake.texts().last().map(String::as_str), Some("ROLLBACK"));
/// assert!(fake.committed().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FakePostgres {
    directory: PathBuf,
    target: Target,
    clock: TestClock,
    world: Arc<World>,
    ends: Arc<AtomicBool>,
}

impl FakePostgres {
    /// Starts a server that knows these statements. It ends when it is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if no socket can be made in the directory for temporary files.
    pub fn start(script: impl IntoIterator<Item = ScriptedStatement>) -> io::Result<Self> {
        let mut bits = RandomState::new().build_hasher();
        bits.write_u8(0);
        let name = format!("phasegate-fake-{:016x}", bits.finish());
        let directory = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let target = Target::new("7000000000000000000", "fake", "runner");
        let clock = TestClock::stopped_now();
        let schema = Schema::new(target.clone(), clock.clone());
        let fake = FakePostgres {
            world: Arc::new(World::new(script.into_iter().collect(), schema)),
            ends: Arc::default(),
            directory,
            target,
            clock,
        };
        let listener = UnixListener::bind(fake.socket())?;
        let (world, ends) = (Arc::clone(&fake.world), Arc::clone(&fake.ends));
        thread::Builder::new()
            .name("phasegate-fake".to_owned())
            .spawn(move || accept(&listener, &world, &ends))?;
        Ok(fake)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Adds a statement to those that the server knows.
    pub fn script(&self, statement: ScriptedStatement) {
        self.world.lock().script.push(statement);
    }

    /// Returns a configuration that connects to the server as the target's role.
    #[must_use]
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.directory)
            .port(PORT)
            .user(self.target.role())
            .dbname(self.target.database());
        config
    }

    /// Returns a connector for a live run.
    #[must_use]
    pub fn connector(&self) -> PostgresConnector {
        PostgresConnector::no_tls(self.config())
    }

    /// Returns the server's target, for which a plan is made.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the server's clock. It stands still at the time at which the server was started; the lease of the kill
    /// switch is a day.
    #[must_use]
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Admits a plan. The server checks that each phase has an approval for each gate, and not what that says.
    pub fn admit(&self, plan: &Plan) {
        self.world.lock().schema.admit(plan);
    }

    /// Turns the kill switch of the database ON, for a day by the server's [`clock`](FakePostgres::clock), as it is at
    /// the beginning.
    pub fn switch_on(&self) {
        self.world.lock().schema.switch(true);
    }

    /// Turns the kill switch of the database OFF.
    pub fn switch_off(&self) {
        self.world.lock().schema.switch(false);
    }

    /// Returns every statement so far, of all sessions, in order; also those that failed or were rolled back.
    #[must_use]
    pub fn statements(&self) -> Vec<RecordedStatement> {
        self.world.lock().received.clone()
    }

    /// Returns the texts of [`statements`](FakePostgres::statements).
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let received = &self.world.lock().received;
        let texts = received.iter().map(|statement| statement.text().to_owned());
        texts.collect()
    }

    /// Returns the scripted statements of the transactions that were committed, in order, without those that a
    /// savepoint undid.
    #[must_use]
    pub fn committed(&self) -> Vec<RecordedStatement> {
        self.world.lock().committed.clone()
    }

    /// Returns the names of the phases that were committed, in order.
    #[must_use]
    pub fn committed_phases(&self) -> Vec<String> {
        self.world.lock().schema.committed()
    }

    /// Returns how many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from(self.world.lock().connections).unwrap_or_default()
    }
}

fn accept(listener: &UnixListener, world: &Arc<World>, ends: &AtomicBool) {
    for stream in listener.incoming().map_while(Result::ok) {
        if ends.load(Ordering::SeqCst) {
            return;
        }
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let pid = {
            let mut inner = world.lock();
            inner.connections += 1;
            let pid = inner.connections;
            inner.sessions.insert(pid, handle);
            pid
        };
        let world = Arc::clone(world);
        // If the thread cannot be started, the client sees the end of the connection.
        let _ = thread::Builder::new()
            .name("phasegate-fake-session".to_owned())
            .spawn(move || {
                // An error is the end of the connection.
                let _ = session::serve(Arc::clone(&world), pid, &stream);
                world.lock().sessions.remove(&pid);
                let _ = stream.shutdown(Shutdown::Both);
            });
    }
}

impl Drop for FakePostgres {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        for stream in self.world.lock().sessions.values() {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts; a socket that is gone has no such thread.
        let _ = UnixStream::connect(self.socket());
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("left behind: {}: {error}", self.directory.display());
        }
    }
}

impl fmt::Debug for FakePostgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakePostgres({})", self.directory.display())
    }
}
