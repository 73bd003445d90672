//! TCP with a delay: the client receives each message of the server that much later.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use postgres::Config;
use postgres::config::Host;

use crate::Answer;

/// How to connect to the server of `config` by TCP, through the delay.
pub(crate) fn in_front_of(config: &Config, delay: Duration) -> Answer<Config> {
    let Some(Host::Unix(directory)) = config.get_hosts().first() else {
        return Err("the server has no Unix socket".into());
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let socket = directory.join(format!(".s.PGSQL.{port}"));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut through = Config::new();
    through
        .host("127.0.0.1")
        .port(listener.local_addr()?.port());
    through.user(config.get_user().ok_or("a role")?);
    through.dbname(config.get_dbname().ok_or("a database")?);
    if let Some(password) = config.get_password() {
        through.password(password);
    }
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // The client sees an error as the end of the connection.
            let _ = serve(&client, &socket, delay);
        }
    });
    Ok(through)
}

fn serve(client: &TcpStream, socket: &Path, delay: Duration) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(socket)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client.try_clone()?);
    thread::spawn(move || {
        let mut bytes = [0; 8 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            thread::sleep(delay);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    Ok(())
}
