//! The directory of a private server.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::ServerError;
use super::random;

/// The longest path of a Unix socket on any system in use (Linux 107, macOS and the BSDs 103).
const SOCKET_PATH: usize = 103;

/// The name that PostgreSQL adds to its directory for its socket.
const SOCKET: &str = "/.s.PGSQL.5432";

/// The path and the owner of a private server's directory, before it is created.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) account: Account,
}

impl Directory {
    /// Chooses a new name in `TMPDIR`, or in `/tmp` if PostgreSQL could not use that path.
    pub(super) fn choose() -> Result<Self, ServerError> {
        let account = Account::choose()?;
        let base = env::temp_dir();
        // The path must stay valid for processes with another working directory.
        let base = fs::canonicalize(&base).map_err(|error| ServerError::Directory {
            path: base,
            reason: error.to_string(),
            account: account.to_string(),
        })?;
        let name = format!("phasegate-pg-{}", random::word());
        let path = Some(base.join(&name))
            .filter(|path| fits(path))
            .unwrap_or_else(|| Path::new("/tmp").join(&name));
        Ok(Self { path, account })
    }
}

/// Returns whether `directory` is short enough for a socket, and valid in lists of paths and in PostgreSQL's own shell
/// commands.
fn fits(directory: &Path) -> bool {
    directory.to_str().is_some_and(|text| {
        text.len() + SOCKET.len() <= SOCKET_PATH
            && !text.contains(['"', '$', '`', '\\', '\n', '\'', ':', ';'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_a_socket_can_have_fits() {
        let longest = "x".repeat(SOCKET_PATH - SOCKET.len());
        assert!(fits(Path::new(&longest)));
        assert!(!fits(Path::new(&format!("{longest}x"))));
        assert!(fits(Path::new("/a, b")));
        assert!(!fits(Path::new("/$HOME")) && !fits(Path::new("/a:b")));
    }
}
