//! A line to the server that goes dead at the worst moment: the commit has been sent and performed, and
//! its response is lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use postgres::Config;
use postgres::config::Host;
use tempfile::TempDir;

/// Relays sessions to a server. It drops the response to the first commit.
pub struct Lossy {
    pub config: Config,
    _directory: TempDir,
}

impl Lossy {
    pub fn to(server: &Config) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432"))?;
        let (upstream, lost) = (server.clone(), Arc::new(AtomicBool::new(false)));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (upstream, lost) = (upstream.clone(), Arc::clone(&lost));
                thread::spawn(move || relay(client, &upstream, &lost));
            }
        });
        let mut config = Config::new();
        config.host_path(directory.path()).port(5432);
        if let Some(user) = server.get_user() {
            config.user(user);
        }
        if let Some(database) = server.get_dbname() {
            config.dbname(database);
        }
        if let Some(password) = server.get_password() {
            config.password(password);
        }
        Ok(Lossy {
            config,
            _directory: directory,
        })
    }
}

fn relay(client: UnixStream, server: &Config, lost: &AtomicBool) -> io::Result<()> {
    let server = Line::open(server)?;
    let (mut from, mut to) = (server.again()?, client.try_clone()?);
    let committing = Arc::new(AtomicBool::new(false));
    let committed = Arc::clone(&committing);
    let responses = thread::spawn(move || -> io::Result<()> {
        let mut part = [0; 8192];
        loop {
            let length = from.read(&mut part)?;
            let said = |what: &[u8]| {
                part[..length]
                    .windows(what.len())
                    .any(|bytes| bytes == what)
            };
            if !committed.load(Ordering::SeqCst) {
                to.write_all(&part[..length])?;
            } else if said(b"COMMIT\0") || said(b"SERROR\0") {
                return to.shutdown(Shutdown::Both);
            }
            if length == 0 {
                return to.shutdown(Shutdown::Both);
            }
        }
    });
    let (mut from, mut to) = (client, server.again()?);
    let mut part = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut part) {
        let commits = part[..length].windows(8).any(|bytes| bytes == b"; COMMIT");
        if commits && !lost.swap(true, Ordering::SeqCst) {
            committing.store(true, Ordering::SeqCst);
        }
        to.write_all(&part[..length])?;
    }
    server.shut_down();
    drop(responses.join());
    Ok(())
}

enum Line {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Line {
    fn open(server: &Config) -> io::Result<Self> {
        let port = server.get_ports().first().copied().unwrap_or(5432);
        match server.get_hosts().first() {
            Some(Host::Unix(directory)) => {
                UnixStream::connect(directory.join(format!(".s.PGSQL.{port}"))).map(Line::Unix)
            }
            Some(Host::Tcp(host)) => TcpStream::connect((host.as_str(), port)).map(Line::Tcp),
            None => Err(io::Error::other("the server has no address")),
        }
    }

    fn again(&self) -> io::Result<Self> {
        match self {
            Line::Unix(stream) => stream.try_clone().map(Line::Unix),
            Line::Tcp(stream) => stream.try_clone().map(Line::Tcp),
        }
    }

    fn shut_down(&self) {
        // It may be shut down already.
        let _ = match self {
            Line::Unix(stream) => stream.shutdown(Shutdown::Both),
            Line::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Read for Line {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Unix(stream) => stream.read(part),
            Line::Tcp(stream) => stream.read(part),
        }
    }
}

impl Write for Line {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match self {
            Line::Unix(stream) => stream.write(part),
            Line::Tcp(stream) => stream.write(part),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
