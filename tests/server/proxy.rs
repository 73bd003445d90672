//! A proxy between the driver and the server that reads the messages, and cuts or changes those that a test names.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use phasegate::testing::Calls;
use postgres::Config;
use postgres::config::Host;

/// What to do with a statement on its way to the server.
pub enum Verdict {
    Pass,
    /// Send the second text where the first stands.
    Replace(&'static str, &'static str),
    /// Drop it and close the connection: neither side receives it.
    Cut,
    /// Drop it and every later message, and keep the connection.
    Silence,
    /// Pass it, wait until the server has answered, and lose the answer with the connection.
    CutAnswer,
    /// Pass it, wait until the server has answered, and say instead that the session was ended.
    Fatal,
}

/// What the server says to a session that an administrator ends.
const FATAL: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0";

/// A proxy of one server; what goes through it is in `messages`.
pub struct Proxy {
    pub config: Config,
    /// Every simple query in full, and of each prepared statement the text, in order.
    pub messages: Calls,
    /// How many times the server has said that it is ready for the next query.
    pub answers: Arc<AtomicU64>,
    _directory: tempfile::TempDir,
}

type Rule = Arc<dyn Fn(&str) -> Verdict + Send + Sync>;

impl Proxy {
    /// Leads to the server of `config`, and asks `rule` about each statement.
    pub fn new(config: &Config, rule: impl Fn(&str) -> Verdict + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener =
            UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket");
        let (server, messages, answers) = (config.clone(), Calls::new(), Arc::default());
        let (log, rule): (_, Rule) = (messages.clone(), Arc::new(rule));
        let ready: Arc<AtomicU64> = Arc::clone(&answers);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, log, rule) = (Stream::connect(&server), log.clone(), rule.clone());
                serve(&Stream::Unix(client), &server, log, rule, ready.clone());
            }
        });
        let mut through = Config::new();
        through.host_path(directory.path()).port(5432);
        if let Some(user) = config.get_user() {
            through.user(user);
        }
        if let Some(database) = config.get_dbname() {
            through.dbname(database);
        }
        if let Some(password) = config.get_password() {
            through.password(password);
        }
        Proxy {
            config: through,
            messages,
            answers,
            _directory: directory,
        }
    }
}

/// What the two directions of a connection know of each other.
#[derive(Default)]
struct Talk {
    /// How many queries were passed on, each of which the server answers with "ready" at the end.
    asked: u64,
    /// The query whose answer is lost, and what the client gets in its place.
    lost: Option<(u64, Verdict)>,
}

/// Serves one connection, in two threads, until either side ends it.
fn serve(client: &Stream, server: &Stream, log: Calls, rule: Rule, ready: Arc<AtomicU64>) {
    let talk = Arc::new(Mutex::new(Talk::default()));
    let (from, to, both) = (client.again(), server.again(), talk.clone());
    thread::spawn(move || {
        let _ = ask(&from, &to, &log, &rule, &both);
        end(&from, &to);
    });
    let (from, to) = (server.again(), client.again());
    thread::spawn(move || {
        let _ = answer(&from, &to, &talk, &ready);
        end(&from, &to);
    });
}

fn ask(
    mut from: &Stream,
    to: &Stream,
    log: &Calls,
    rule: &Rule,
    talk: &Mutex<Talk>,
) -> io::Result<()> {
    // The first message has no type, and is answered like a query.
    let startup = body(from)?;
    write(to, None, &startup)?;
    let mut kind = [0];
    while from.read_exact(&mut kind).is_ok() {
        let mut message = body(from)?;
        let mut talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(kind[0], b'Q' | b'S') {
            talk.asked += 1;
        }
        if matches!(kind[0], b'Q' | b'P') {
            let text = String::from_utf8_lossy(&message);
            log.record(text.trim_matches(|c: char| c.is_control()));
            match rule(&text) {
                Verdict::Pass => {}
                Verdict::Replace(this, that) => message = text.replace(this, that).into_bytes(),
                Verdict::Cut => return Ok(()),
                Verdict::Silence => {
                    drop(talk);
                    return io::copy(&mut from, &mut io::sink()).map(drop);
                }
                verdict => talk.lost = Some((talk.asked, verdict)),
            }
        }
        write(to, Some(kind[0]), &message)?;
    }
    Ok(())
}

fn answer(mut from: &Stream, to: &Stream, talk: &Mutex<Talk>, count: &AtomicU64) -> io::Result<()> {
    let (mut kind, mut answered) = ([0], 0);
    loop {
        from.read_exact(&mut kind)?;
        let message = body(from)?;
        let ready = kind[0] == b'Z';
        count.fetch_add(u64::from(ready), Ordering::SeqCst);
        let mut talk = talk.lock().unwrap_or_else(PoisonError::into_inner);
        match &talk.lost {
            Some((query, verdict)) if *query == answered => match (ready, verdict) {
                (false, _) => {}
                (true, Verdict::Fatal) => {
                    write(to, Some(b'E'), FATAL)?;
                    // The driver forgets this over an end of the connection, so that comes with
                    // the next query.
                    talk.lost = Some((answered + 1, Verdict::CutAnswer));
                }
                (true, _) => return Ok(()),
            },
            _ => write(to, Some(kind[0]), &message)?,
        }
        answered += u64::from(ready);
    }
}

fn body(mut from: &Stream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn write(mut to: &Stream, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend(length.to_be_bytes());
    message.extend(body);
    to.write_all(&message)
}

fn end(one: &Stream, other: &Stream) {
    one.shut_down();
    other.shut_down();
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(config: &Config) -> Self {
        let port = config.get_ports().first().copied().unwrap_or(5432);
        match &config.get_hosts()[0] {
            Host::Unix(path) => Stream::Unix(
                UnixStream::connect(path.join(format!(".s.PGSQL.{port}"))).expect("the server"),
            ),
            Host::Tcp(host) => {
                Stream::Tcp(TcpStream::connect((host.as_str(), port)).expect("the server"))
            }
        }
    }

    fn again(&self) -> Self {
        match self {
            Stream::Unix(stream) => Stream::Unix(stream.try_clone().expect("a handle")),
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().expect("a handle")),
        }
    }

    fn shut_down(&self) {
        // Whoever has ended it already is welcome to.
        let _ = match self {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => {
                let mut stream = stream;
                stream.read(buffer)
            }
            Stream::Tcp(stream) => {
                let mut stream = stream;
                stream.read(buffer)
            }
        }
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => {
                let mut stream = stream;
                stream.write(bytes)
            }
            Stream::Tcp(stream) => {
                let mut stream = stream;
                stream.write(bytes)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
