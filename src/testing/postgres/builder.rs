//! The choice of a server, and its settings.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::directory::Directory;
use super::error::ServerError;
use super::private::PrivateServer;
use super::server::TestPostgres;
use super::source::Source;
use super::supervisor::Supervisor;
use super::{embedded, given, installed};

/// Describes the required server; [`start`](Self::start) finds or starts one.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is started before `start`"]
pub struct TestPostgresBuilder {
    settings: Vec<(String, String)>,
    ignore_database_url: bool,
    bin_dir: Option<PathBuf>,
    loopback_port: Option<u16>,
}

impl TestPostgres {
    /// Finds or starts a server with default settings; see [`TestPostgresBuilder::start`] for the order.
    ///
    /// A source that exists but cannot be used is an error and is never skipped.
    ///
    /// # Errors
    ///
    /// Returns an error that tells which source was found but cannot be used, or that there is none, with a hint.
    pub fn find_or_start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Begins a server with custom settings, or one that a test may stop or kill.
    pub fn builder() -> TestPostgresBuilder {
        TestPostgresBuilder::default()
    }
}

impl TestPostgresBuilder {
    /// Sets a parameter of `postgresql.conf`, such as `max_prepared_transactions`.
    ///
    /// The server of `DATABASE_URL` is not changed: it must have exactly this value (in the form of `SHOW`), or
    /// `start` fails. The address of a private server and the place of its files cannot be set.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts a private server even if `DATABASE_URL` is set, for tests that stop, kill or restart it.
    pub fn ignore_database_url(mut self) -> Self {
        self.ignore_database_url = true;
        self
    }

    /// Starts a private server from this directory, which has `initdb` and `postgres`, for tests that need a certain
    /// version.
    pub fn bin_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(directory.into());
        self
    }

    /// Lets a private server listen on this port of 127.0.0.1 too, for tests of TLS and passwords; a socket has no TLS.
    /// Any user of the machine can then connect as any role, unless the test writes `data/pg_hba.conf`.
    pub fn listen_on_loopback(mut self, port: u16) -> Self {
        self.loopback_port = Some(port);
        self
    }

    /// Finds or starts the server; it accepts connections when this returns.
    ///
    /// Uses the first of these that exists, and no other if that one fails: the server of `DATABASE_URL`; an installed
    /// one (`PG_BIN_DIR`, `pg_config`, `PATH`, the usual directories); the embedded one. An empty variable counts as
    /// unset.
    ///
    /// # Errors
    ///
    /// Returns an error that tells which source was found but cannot be used, or that there is none, with a hint.
    pub fn start(self) -> Result<TestPostgres, ServerError> {
        if !self.ignore_database_url
            && self.bin_dir.is_none()
            && let Some((source, admin)) = given::find(&self.settings)?
        {
            return Ok(TestPostgres {
                source,
                admin,
                server: None,
                template: Mutex::default(),
            });
        }
        let (source, server) = match installed::find(self.bin_dir.as_deref())? {
            Ok(found) => self.start_installed(found)?,
            Err(installed) => {
                match embedded::start(&|directory| self.arguments(directory), self.port())? {
                    Ok((server, version)) => (Source::Embedded { version }, server),
                    Err(embedded) => {
                        let url = if self.ignore_database_url {
                            "is to be ignored"
                        } else {
                            "is unset"
                        };
                        return Err(ServerError::NoServer {
                            url,
                            installed,
                            embedded,
                        });
                    }
                }
            }
        };
        Ok(TestPostgres {
            source,
            admin: server.admin(),
            server: Some(server),
            template: Mutex::default(),
        })
    }

    fn port(&self) -> u16 {
        self.loopback_port.unwrap_or(5432)
    }

    fn start_installed(
        &self,
        found: installed::Installed,
    ) -> Result<(Source, PrivateServer), ServerError> {
        let installed::Installed { bin_dir, version } = found;
        let label = format!("PostgreSQL {version} from {}", bin_dir.display());
        let directory = Directory::choose()?;
        let arguments = self.arguments(&directory.path);
        let supervisor = Supervisor::spawn(directory, &bin_dir, &arguments, None)?;
        let server = PrivateServer::start(supervisor, label, self.port())?;
        Ok((Source::Installed { bin_dir, version }, server))
    }

    /// Returns the server's command line: default settings, the caller's, and at the end those that the harness
    /// depends on.
    fn arguments(&self, directory: &Path) -> Vec<String> {
        // The data need not survive the machine; and files, unlike /dev/shm, are limited only by the disk and removed
        // with the directory.
        let ours = [("fsync", "off"), ("dynamic_shared_memory_type", "mmap")];
        // An element of a list: in quotes, so that a comma or a space in the path does not end it.
        let socket = format!("\"{}\"", directory.display());
        let port = self.port().to_string();
        let addresses = self.loopback_port.map_or("", |_| "127.0.0.1");
        let fixed = [
            ("listen_addresses", addresses),
            ("unix_socket_directories", socket.as_str()),
            ("unix_socket_permissions", "0700"),
            ("port", port.as_str()),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
        ];
        let own = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all = ours.into_iter().chain(own).chain(fixed);
        all.flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")])
            .collect()
    }
}
