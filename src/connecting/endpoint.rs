use std::fmt;
use std::path::Path;

use ::postgres::{Client, Config};

use super::environment::Environment;
use super::error::EndpointError;
use super::password::{self, PasswordSource};
use super::pgpass::{self, Wanted};
use super::role::Role;
use super::settings::Settings;
use super::ssl;
use super::tls::Tls;
use crate::base::printable::Printable;
use crate::database::{ConnectError, Connection, Connector, PostgresConnector};

/// The address of a server, and everything that a session with it needs. It is a [`Connector`].
///
/// The password is read again for each session: from a file that was rotated, or from a command whose token expires.
/// Neither `Debug` nor `Display` shows it.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    role: Role,
    tls: Tls,
    password: PasswordSource,
    warnings: Vec<String>,
    described: String,
}

impl Endpoint {
    pub(super) fn new(
        mut settings: Settings,
        env: &Environment,
        role: Role,
        configured: Option<PasswordSource>,
        native_tls: bool,
    ) -> Result<Self, EndpointError> {
        settings.fill("port", "5432");
        if settings.get("host").is_none() && settings.get("hostaddr").is_none() {
            settings.fill("host", default_host(settings.get("port")));
        }
        if settings.get("user").is_none() {
            let user = whoami::username().map_err(|error| {
                EndpointError::malformed("the name of this user", error.to_string())
            })?;
            settings.fill("user", &user);
        }
        let user = settings.get("user").unwrap_or_default().to_owned();
        settings.fill("dbname", &user);
        settings.fill("application_name", "phasegate");
        let mut config = settings.config()?;
        let ssl = ssl::decide(&settings, env, role)?;
        config.ssl_mode(ssl.driver);
        let tls = match &ssl.certificates {
            Some(certificates) => Tls::new(certificates, native_tls)?,
            None => Tls::Off,
        };
        let mut warnings = ssl.warnings;
        let password = source(&settings, env, role, configured, &mut warnings)?;
        let of = |key| settings.get(key).unwrap_or_default();
        let described = format!(
            "{} port {}, database {}, user {}, sslmode {}, password from {password}",
            if of("host").is_empty() {
                of("hostaddr")
            } else {
                of("host")
            },
            of("port"),
            of("dbname"),
            of("user"),
            ssl.mode,
        );
        Ok(Endpoint {
            config,
            role,
            tls,
            password,
            warnings,
            described,
        })
    }

    /// Returns what the connection is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns what a user should know: a password file that is ignored, a connection that is not verified.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the configuration of the driver, with the password.
    ///
    /// It is without the verification of certificates, which is in [`client`](Endpoint::client) and in the connector.
    ///
    /// # Errors
    ///
    /// Returns an error if the configured source of the password gives none.
    pub fn config(&self) -> Result<Config, EndpointError> {
        let mut config = self.config.clone();
        if let Some(password) = self.password.read()? {
            config.password(password);
        }
        Ok(config)
    }

    /// Opens a session, for what is not a run: an operator's, an auditor's.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no password, or the server does not accept the session.
    pub fn client(&self) -> Result<Client, ConnectError> {
        let (client, _) = self.clone().connect()?.into_parts();
        Ok(client)
    }
}

impl Connector for Endpoint {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let config = self.config().map_err(|error| {
            let refused = ConnectError::new(error.to_string());
            match error.hint() {
                Some(hint) => refused.with_hint(hint),
                None => refused,
            }
        })?;
        match &self.tls {
            Tls::Off => PostgresConnector::no_tls(config).connect(),
            #[cfg(feature = "rustls")]
            Tls::Rustls(tls) => PostgresConnector::tls(config, tls.clone()).connect(),
            #[cfg(feature = "native-tls")]
            Tls::Native(tls) => PostgresConnector::tls(config, tls.clone()).connect(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(&self.described).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Returns the directory of the sockets that Debian's libpq has, or that of PostgreSQL, by the socket that is there.
fn default_host(port: Option<&str>) -> &'static str {
    const DEBIAN: &str = "/var/run/postgresql";
    let socket = format!(".s.PGSQL.{}", port.unwrap_or("5432"));
    let has_socket = |directory: &&str| Path::new(directory).join(&socket).exists();
    let directories = [DEBIAN, "/tmp"];
    let found = directories.into_iter().find(has_socket);
    found.unwrap_or(if Path::new(DEBIAN).is_dir() {
        DEBIAN
    } else {
        "/tmp"
    })
}

/// Returns where the password is: in the connection, in what `phasegate.toml` names, in a credential of systemd, in
/// PGPASSWORD, in the password file.
fn source(
    settings: &Settings,
    env: &Environment,
    role: Role,
    configured: Option<PasswordSource>,
    warnings: &mut Vec<String>,
) -> Result<PasswordSource, EndpointError> {
    if let (Some(password), Some(place)) = (settings.get("password"), settings.place("password")) {
        return Ok(PasswordSource::Text {
            place: place.to_owned(),
            password: password.to_owned(),
        });
    }
    if let Some(configured) = configured {
        return Ok(configured);
    }
    if let Some(path) = password::credential(env.path("CREDENTIALS_DIRECTORY"), role.name()) {
        let place = path.display().to_string();
        return Ok(PasswordSource::File { place, path });
    }
    if let Some(password) = env.text("PGPASSWORD")? {
        return Ok(PasswordSource::Text {
            place: "PGPASSWORD".to_owned(),
            password: password.to_owned(),
        });
    }
    let named = settings.get("passfile");
    let named = named.map(|file| env.directory().join(file));
    let file = named.or_else(|| env.path("PGPASSFILE"));
    let Some(file) = file.or_else(|| env.home(".pgpass")) else {
        return Ok(PasswordSource::Nowhere);
    };
    let text = match pgpass::read(&file)? {
        Ok(text) => text,
        Err(warning) => {
            warnings.extend(warning);
            return Ok(PasswordSource::Nowhere);
        }
    };
    let place = file.display().to_string();
    let (hosts, ports) = (settings.list("host"), settings.list("port"));
    let hosts = if hosts.is_empty() {
        settings.list("hostaddr")
    } else {
        hosts
    };
    let mut found: Option<Option<String>> = None;
    for (n, host) in hosts.iter().enumerate() {
        let wanted = Wanted {
            // A socket in the usual place is `localhost` to the file, as for libpq.
            host: match *host {
                "/var/run/postgresql" | "/run/postgresql" | "/tmp" => "localhost",
                host => host,
            },
            port: ports.get(n).or(ports.first()).copied().unwrap_or("5432"),
            database: settings.get("dbname").unwrap_or_default(),
            user: settings.get("user").unwrap_or_default(),
        };
        let password = pgpass::password(&text, &wanted);
        // The driver has one password, which must not reach a host that it is not for.
        if found.as_ref().is_some_and(|found| *found != password) {
            let why = "the hosts have different passwords, and a connection has one";
            return Err(EndpointError::password(place, why));
        }
        found = Some(password);
    }
    Ok(match found.flatten() {
        Some(password) => PasswordSource::Text { place, password },
        None => PasswordSource::Nowhere,
    })
}
