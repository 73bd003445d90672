//! A proxy between client and server that knows where each message of the protocol ends, and makes one
//! fault at one place.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use phasegate::connect::PostgresConnector;
use postgres::Config;
use postgres::config::Host;

use crate::cases::Case;

/// How long anything here is waited for.
const BOUND: Duration = Duration::from_secs(20);

/// What the server says to a session that an administrator ends.
const FATAL: &[u8] =
    b"E\0\0\0\x47SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator\0\0";

/// The sender of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Where the fault is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// At this message of this connection, both counted from 0.
    Message(usize, usize),
    /// At this byte of all that this side says, on whichever connection.
    Byte(usize),
}

/// Where the closing message is among the client's, and its answer's first among the server's.
pub(crate) struct Close {
    pub(crate) asked: At,
    pub(crate) answered: At,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The connection is cut, and the message is not passed on.
    CutBefore,
    /// It is cut in the middle of the message; at a byte, before that byte.
    CutHalf,
    /// It is cut once the message has been passed on.
    CutAfter,
    /// The message is passed on later.
    Delay(Duration),
    /// The message is passed on at [`Script::release`].
    Hold,
    /// The message is passed on twice.
    Twice,
    /// Instead of this answer, the client is told that its session was ended.
    Fatal,
    /// The client is cut off; the server is not notified until [`Script::release`].
    LoseClient,
    /// The same, once the message has been passed on.
    LoseClientAfter,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) side: Side,
    pub(crate) at: At,
    pub(crate) what: What,
}

/// A message that came by.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) connection: usize,
    pub(crate) side: Side,
    /// How many exchanges had been begun, or ended, by this side of the connection before it.
    pub(crate) exchange: usize,
    pub(crate) bytes: Vec<u8>,
    /// The first of a client, which has no type.
    first: bool,
}

/// What goes through the proxy from [`Proxy::play`] on.
pub(crate) struct Script {
    fault: Option<Fault>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: usize,
    /// Directions that still run.
    running: usize,
    heard: Vec<Message>,
    bytes: [usize; 2],
    held: bool,
    released: bool,
    /// The client was cut off, and what the server says to it is lost.
    lost: bool,
}

pub(crate) struct Proxy {
    pub(crate) config: Config,
    script: Arc<Mutex<Arc<Script>>>,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// Leads to the server of `config`, which listens on a Unix socket.
    pub(crate) fn new(config: &Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let Host::Unix(server) = &config.get_hosts()[0] else {
            panic!("the server is on the network")
        };
        let server = server.join(".s.PGSQL.5432");
        let script = Arc::new(Mutex::new(Script::new(None)));
        let playing = Arc::clone(&script);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let script = lock(&playing).clone();
                script.serve(client, server.clone());
            }
        });
        let mut through = Config::new();
        through
            .host_path(directory.path())
            .user(config.get_user().unwrap())
            .dbname(config.get_dbname().unwrap());
        Proxy {
            config: through,
            script,
            _directory: directory,
        }
    }

    /// A dry pass of a case of its own: where the last phase of one like it is closed.
    pub(crate) fn close_of(&self, case: &Case) -> Close {
        let script = self.play(None);
        let runner = case.live(PostgresConnector::no_tls(self.config.clone()));
        case.perform(runner).expect("a dry pass");
        script.close()
    }

    /// What connects from now on is played this fault.
    pub(crate) fn play(&self, fault: Option<Fault>) -> Arc<Script> {
        let script = Script::new(fault);
        *lock(&self.script) = Arc::clone(&script);
        script
    }
}

impl Script {
    fn new(fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Script {
            fault,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// What came by, once every connection has ended.
    pub(crate) fn heard(&self) -> Vec<Message> {
        let state = self.until("the connections have ended", |state| state.running == 0);
        state.heard.clone()
    }

    /// Where the last phase was closed, once every connection has ended.
    pub(crate) fn close(&self) -> Close {
        let heard = self.heard();
        let closing = heard.iter().rfind(|one| one.is_closing()).unwrap();
        let place = |side, is: &dyn Fn(&Message) -> bool| {
            let said = heard
                .iter()
                .filter(|one| one.side == side && one.connection == closing.connection);
            let place = said.clone().position(is).unwrap();
            At::Message(closing.connection, place)
        };
        Close {
            asked: place(Side::Client, &Message::is_closing),
            answered: place(Side::Server, &|one| one.exchange == closing.exchange),
        }
    }

    /// The message that `says` picks, as soon as it has come by.
    pub(crate) fn message(&self, says: impl Fn(&Message) -> bool) -> Message {
        let state = self.until("the message", |state| state.heard.iter().any(&says));
        let message = state.heard.iter().find(|message| says(message));
        message.unwrap().clone()
    }

    /// Waits until a message is held.
    pub(crate) fn until_held(&self) {
        drop(self.until("a message is held", |state| state.held));
    }

    /// Passes on what is held.
    pub(crate) fn release(&self) {
        lock(&self.state).released = true;
        self.changed.notify_all();
    }

    fn until(&self, what: &str, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.state), BOUND, |state| !holds(state));
        let (state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "not within {BOUND:?}: {what}");
        state
    }

    fn serve(self: &Arc<Self>, client: UnixStream, server: PathBuf) {
        let connection = {
            let mut state = lock(&self.state);
            state.connections += 1;
            state.running += 2;
            state.connections - 1
        };
        let script = Arc::clone(self);
        thread::spawn(move || {
            let Ok(server) = UnixStream::connect(server) else {
                script.ended(2);
                return;
            };
            thread::scope(|scope| {
                let script = &script;
                for (side, from, to) in [
                    (Side::Client, &client, &server),
                    (Side::Server, &server, &client),
                ] {
                    scope.spawn(move || {
                        let _ = script.relay(connection, side, from, to);
                        // It may have ended already.
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                        script.ended(1);
                    });
                }
            });
        });
    }

    fn ended(&self, directions: usize) {
        lock(&self.state).running -= directions;
        self.changed.notify_all();
    }

    /// Passes on what one side says, until it ends or is cut.
    fn relay(
        &self,
        connection: usize,
        side: Side,
        mut from: &UnixStream,
        mut to: &UnixStream,
    ) -> io::Result<()> {
        let mut exchange = 0;
        for index in 0.. {
            let first = side == Side::Client && index == 0;
            let bytes = message(&mut from, first)?;
            let ends_exchange = match side {
                Side::Client => first || matches!(bytes[0], b'Q' | b'S'),
                Side::Server => bytes[0] == b'Z',
            };
            let said = {
                let mut state = lock(&self.state);
                state.heard.push(Message {
                    connection,
                    side,
                    exchange,
                    bytes: bytes.clone(),
                    first,
                });
                let said = &mut state.bytes[side as usize];
                *said += bytes.len();
                *said - bytes.len()
            };
            self.changed.notify_all();
            exchange += usize::from(ends_exchange);
            let fault = self.fault.filter(|fault| fault.side == side);
            let cut_at = match fault.map(|fault| fault.at) {
                Some(At::Message(on, at)) if (on, at) == (connection, index) => bytes.len() / 2,
                Some(At::Byte(byte)) if (said..said + bytes.len()).contains(&byte) => byte - said,
                _ => match to.write_all(&bytes) {
                    Err(_) if side == Side::Server && lock(&self.state).lost => continue,
                    passed => {
                        passed?;
                        continue;
                    }
                },
            };
            match fault.unwrap().what {
                What::CutBefore => return Ok(()),
                What::CutHalf => return to.write_all(&bytes[..cut_at]),
                What::CutAfter => return to.write_all(&bytes),
                What::Delay(time) => {
                    thread::sleep(time);
                    to.write_all(&bytes)?;
                }
                What::Hold => {
                    let mut state = lock(&self.state);
                    // If the client dies meanwhile, the server is not notified.
                    state.lost = side == Side::Client;
                    state.held = true;
                    drop(state);
                    self.changed.notify_all();
                    drop(self.until("it is released", |state| state.released));
                    to.write_all(&bytes)?;
                }
                What::LoseClient | What::LoseClientAfter => {
                    if fault.unwrap().what == What::LoseClientAfter {
                        to.write_all(&bytes)?;
                    }
                    lock(&self.state).lost = true;
                    from.shutdown(Shutdown::Both)?;
                    drop(self.until("it is released", |state| state.released));
                    return Ok(());
                }
                What::Fatal => {
                    to.write_all(FATAL)?;
                    while message(&mut from, false)?[0] != b'Z' {}
                    // The driver forgets it over an end of the connection, so that comes with the
                    // response to its next message.
                    return message(&mut from, false).map(drop);
                }
                What::Twice => {
                    to.write_all(&bytes)?;
                    to.write_all(&bytes)?;
                }
            }
        }
        Ok(())
    }
}

impl Message {
    pub(crate) fn is_closing(&self) -> bool {
        let query = self.side == Side::Client && !self.first && self.bytes[0] == b'Q';
        query && String::from_utf8_lossy(&self.bytes).contains("phasegate.seal(")
    }

    /// What the protocol calls it.
    pub(crate) fn name(&self) -> String {
        if self.first {
            return "Startup".to_owned();
        }
        let name = match (self.side, self.bytes[0]) {
            (Side::Client, b'Q') => "Query",
            (Side::Client, b'P') => "Parse",
            (Side::Client, b'B') => "Bind",
            (Side::Client, b'D') => "Describe",
            (Side::Client, b'E') => "Execute",
            (Side::Client, b'C') => "Close",
            (Side::Client, b'S') => "Sync",
            (Side::Client, b'X') => "Terminate",
            (Side::Server, b'R') => "Authentication",
            (Side::Server, b'S') => "ParameterStatus",
            (Side::Server, b'K') => "BackendKeyData",
            (Side::Server, b'Z') => "ReadyForQuery",
            (Side::Server, b'T') => "RowDescription",
            (Side::Server, b'D') => "DataRow",
            (Side::Server, b'1') => "ParseComplete",
            (Side::Server, b'2') => "BindComplete",
            (Side::Server, b'3') => "CloseComplete",
            (Side::Server, b't') => "ParameterDescription",
            (Side::Server, b'n') => "NoData",
            (Side::Server, b'C') => {
                let tag = String::from_utf8_lossy(&self.bytes[5..]);
                return format!("CommandComplete `{}`", tag.trim_end_matches('\0'));
            }
            (side, kind) => panic!("{side:?} said {:?}", char::from(kind)),
        };
        name.to_owned()
    }
}

/// One whole message, as it came.
fn message(from: &mut &UnixStream, first: bool) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; if first { 4 } else { 5 }];
    from.read_exact(&mut bytes)?;
    let length = bytes[bytes.len() - 4..].try_into().map(u32::from_be_bytes);
    let length = length.map_err(io::Error::other)? as usize;
    let header = bytes.len();
    bytes.resize(header + length - 4, 0);
    from.read_exact(&mut bytes[header..])?;
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
