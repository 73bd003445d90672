//! Which server, and how it is set.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::directory::Directory;
use super::error::ServerError;
use super::private::PrivateServer;
use super::server::TestPostgres;
use super::source::Source;
use super::supervisor::Supervisor;
use super::{embedded, given, installed};

/// Says what the server must be like; [`start`](Self::start) finds or starts one that is.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is started before `start`"]
pub struct TestPostgresBuilder {
    settings: Vec<(String, String)>,
    ignore_database_url: bool,
    bin_dir: Option<PathBuf>,
}

impl TestPostgres {
    /// Finds or starts a server with default settings; see [`TestPostgresBuilder::start`] for the
    /// order.
    ///
    /// A source that is there but cannot be used is an error and never skipped.
    ///
    /// # Errors
    ///
    /// What was found and cannot be used, or that there is nothing; with what to do about it.
    pub fn find_or_start() -> Result<Self, ServerError> {
        Self::builder().start()
    }

    /// Begins a server with settings of its own, or one that may be broken.
    pub fn builder() -> TestPostgresBuilder {
        TestPostgresBuilder::default()
    }
}

impl TestPostgresBuilder {
    /// Sets a parameter of `postgresql.conf`, such as `max_prepared_transactions`.
    ///
    /// The server of `DATABASE_URL` is not changed: it must have exactly this value (as `SHOW`
    /// tells it), or `start` fails. Where a private server is reached and where its files are
    /// cannot be set.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts a private server even if `DATABASE_URL` is set, for tests that stop, kill or restart
    /// it.
    pub fn ignore_database_url(mut self) -> Self {
        self.ignore_database_url = true;
        self
    }

    /// Starts a private server out of this directory, which has `initdb` and `postgres`, for tests that need a certain
    /// version.
    pub fn bin_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(directory.into());
        self
    }

    /// Finds or starts the server; it answers when this returns.
    ///
    /// The first of these that there is, and no other if that one fails: the server of
    /// `DATABASE_URL`; an installed one (`PG_BIN_DIR`, `pg_config`, `PATH`, the usual places); the
    /// embedded one. An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// What was found and cannot be used, or that there is nothing; with what to do about it.
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
            Err(installed) => match embedded::start(&|directory| self.arguments(directory))? {
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
            },
        };
        Ok(TestPostgres {
            source,
            admin: server.admin(),
            server: Some(server),
            template: Mutex::default(),
        })
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
        let server = PrivateServer::start(supervisor, label)?;
        Ok((Source::Installed { bin_dir, version }, server))
    }

    /// The server's command line: ours, the caller's, and at the end what the harness depends on.
    fn arguments(&self, directory: &Path) -> Vec<String> {
        // Nothing here outlives the machine, and files need no room in /dev/shm nor anybody to
        // remove them.
        let ours = [("fsync", "off"), ("dynamic_shared_memory_type", "mmap")];
        // An element of a list: a comma or a space in a path must not end it.
        let socket = format!("\"{}\"", directory.display());
        let fixed = [
            ("listen_addresses", ""),
            ("unix_socket_directories", socket.as_str()),
            ("unix_socket_permissions", "0700"),
            ("port", "5432"),
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
