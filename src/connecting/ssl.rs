//! Decides how a connection is encrypted and verified.

use std::net::IpAddr;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::EndpointError;
use super::pgpass::readable_by_others;
use super::role::Role;
use super::settings::Settings;

const HAS_TLS: bool = cfg!(any(feature = "native-tls", feature = "rustls"));

/// What of the server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verify {
    Nothing,
    Chain,
    ChainAndName,
}

/// The certificates of a connection over TLS.
#[derive(Debug, Clone)]
#[cfg_attr(not(any(feature = "native-tls", feature = "rustls")), allow(dead_code))]
pub(super) struct Certificates {
    pub(super) verify: Verify,
    /// The file of the authorities; `None` for those of the operating system.
    pub(super) roots: Option<PathBuf>,
    /// The certificate and the key of the client.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

pub(super) struct Ssl {
    /// The mode, as in libpq.
    pub(super) mode: String,
    /// What the driver does by it.
    pub(super) driver: ::postgres::config::SslMode,
    /// `None` for a connection without TLS.
    pub(super) certificates: Option<Certificates>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn decide(
    settings: &Settings,
    env: &Environment,
    role: Role,
) -> Result<Ssl, EndpointError> {
    use ::postgres::config::SslMode::{Disable, Prefer, Require};

    let (sockets, local) = where_it_is(settings);
    let system = settings.get("sslrootcert") == Some("system");
    let mode = match settings.get("sslmode") {
        Some(mode) => mode,
        None if local && !system => "prefer",
        None => "verify-full",
    };
    let driver = match mode {
        "disable" => Disable,
        "allow" | "prefer" => Prefer,
        "require" | "verify-ca" | "verify-full" => Require,
        _ => {
            let place = settings.place("sslmode").unwrap_or_default();
            return Err(EndpointError::malformed(place, "has an unknown `sslmode`"));
        }
    };
    if driver == Prefer && !local && role == Role::Runner {
        let mode = mode.to_owned();
        return Err(EndpointError::WeakSslMode { mode });
    }
    if system && mode != "verify-full" {
        let place = settings.place("sslrootcert").unwrap_or_default();
        let why = "has `sslrootcert=system`, which needs `sslmode=verify-full`";
        return Err(EndpointError::malformed(place, why));
    }
    let mut ssl = Ssl {
        mode: mode.to_owned(),
        driver,
        certificates: None,
        warnings: Vec::new(),
    };
    // A socket has no TLS, and libpq ignores the mode for it.
    if sockets || (driver == Prefer && local && !HAS_TLS) {
        "disable".clone_into(&mut ssl.mode);
        ssl.driver = Disable;
    }
    if ssl.driver == Disable {
        if !local {
            ssl.warn("the connection is not encrypted");
        }
        return Ok(ssl);
    }
    if !HAS_TLS {
        return Err(EndpointError::NoTls { mode: ssl.mode });
    }
    let certificates = certificates(settings, env, mode)?;
    if !local && driver == Prefer {
        ssl.warn("the server, or an attacker in between, can turn encryption off");
    } else if !local && certificates.verify == Verify::Nothing {
        ssl.warn("the server's certificate is not verified");
    }
    ssl.certificates = Some(certificates);
    Ok(ssl)
}

impl Ssl {
    fn warn(&mut self, what: &str) {
        self.warnings.push(format!("sslmode {}: {what}", self.mode));
    }
}

/// Returns whether all hosts are sockets, and whether all are on this machine.
fn where_it_is(settings: &Settings) -> (bool, bool) {
    let (hosts, addresses) = (settings.list("host"), settings.list("hostaddr"));
    let is_loopback = |host: &str| host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !addresses.is_empty() {
        // These are connected to; the names are for certificates.
        return (false, addresses.into_iter().all(is_loopback));
    }
    let is_socket = |host: &&str| host.starts_with('/');
    let is_local = |host: &&str| is_socket(host) || *host == "localhost" || is_loopback(host);
    (hosts.iter().all(is_socket), hosts.iter().all(is_local))
}

fn certificates(
    settings: &Settings,
    env: &Environment,
    mode: &str,
) -> Result<Certificates, EndpointError> {
    let default = |file: &str| {
        let file = env.home(&format!(".postgresql/{file}"));
        file.filter(|file| file.is_file())
    };
    let named = |key: &str| settings.get(key).map(|file| env.directory().join(file));
    let system = settings.get("sslrootcert") == Some("system");
    let roots = match named("sslrootcert") {
        Some(_) if system => None,
        Some(file) => Some(file),
        None => default("root.crt"),
    };
    // A file of authorities makes libpq verify the chain in each mode.
    let verify = match mode {
        "verify-full" => Verify::ChainAndName,
        "verify-ca" => Verify::Chain,
        _ if roots.is_some() => Verify::Chain,
        _ => Verify::Nothing,
    };
    let certificate = named("sslcert").or_else(|| default("postgresql.crt"));
    let key = named("sslkey").or_else(|| default("postgresql.key"));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => return Err(EndpointError::tls("`sslcert` has no `sslkey`")),
        (None, Some(_)) => return Err(EndpointError::tls("`sslkey` has no `sslcert`")),
    };
    if let Some((_, key)) = &identity
        && key.metadata().is_ok_and(|it| readable_by_others(&it))
    {
        let why = format!("other users can read the key {}", key.display());
        return Err(EndpointError::tls(why));
    }
    Ok(Certificates {
        verify,
        roots,
        identity,
    })
}
