//! The origin of the server.

use std::fmt;
use std::path::PathBuf;

/// The server in use, by version and origin, without any secret.
///
/// `Display` is for people: `PostgreSQL 15.18 from /usr/lib/postgresql/15/bin, started privately`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The server that `DATABASE_URL` names; it was running before and keeps running.
    DatabaseUrl {
        /// Host, port, user and database, without the password.
        server: String,
        /// The server's version.
        version: String,
    },
    /// An installed server, started privately.
    Installed {
        /// The directory of `initdb` and `postgres`, symbolic links resolved.
        bin_dir: PathBuf,
        /// The server's version.
        version: String,
    },
    /// The server of the feature `embedded-postgres`, unpacked and started privately.
    Embedded {
        /// The server's version.
        version: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DatabaseUrl { server, version } => {
                write!(f, "PostgreSQL {version} at {server}, from DATABASE_URL")
            }
            Self::Installed { bin_dir, version } => {
                write!(
                    f,
                    "PostgreSQL {version} from {}, started privately",
                    bin_dir.display()
                )
            }
            Self::Embedded { version } => write!(
                f,
                "PostgreSQL {version} embedded (crates {} =0.3.2), started privately",
                super::embedded::CRATES
            ),
        }
    }
}
