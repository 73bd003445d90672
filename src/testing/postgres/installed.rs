//! Searches for an installed server.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::ServerError;

/// The oldest major version that the harness runs, the first with `DROP DATABASE .. WITH (FORCE)`.
pub(super) const OLDEST: u32 = 13;

/// Directories in which packages install servers without adding them to the `PATH`; `*` is any part of one name.
const KNOWN: [&str; 14] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/lib/postgresql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
    "/opt/postgresql/*/bin",
    "/run/current-system/sw/bin",
];

/// A directory with `initdb` and a `postgres` that runs here and is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) bin_dir: PathBuf,
    pub(super) version: String,
}

/// Finds the server in `given`; otherwise the one that `PG_BIN_DIR` names; otherwise the first by `pg_config` and
/// `PATH`; otherwise the newest in a known directory.
///
/// Returns `Ok(Err(..))` with the places that were searched if there is none.
pub(super) fn find(given: Option<&Path>) -> Result<Result<Installed, String>, ServerError> {
    if let Some(path) = given {
        return look(path).map(Ok).map_err(|reason| ServerError::GivenDir {
            path: path.to_owned(),
            reason,
        });
    }
    if let Some(path) = env::var_os("PG_BIN_DIR").filter(|value| !value.is_empty()) {
        let path = PathBuf::from(path);
        return match look(&path) {
            Ok(found) => Ok(Ok(found)),
            Err(reason) => Err(ServerError::BinDir { path, reason }),
        };
    }
    let mut refused = BTreeSet::new();
    let mut usable = |directory: &Path| {
        directory
            .join("postgres")
            .exists()
            .then(|| look(directory))?
            .map_err(|reason| refused.insert(reason))
            .ok()
    };
    let named = pg_config().into_iter().chain(
        env::var_os("PATH")
            .iter()
            .flat_map(env::split_paths)
            .collect::<Vec<_>>(),
    );
    if let Some(found) = named.into_iter().find_map(|directory| usable(&directory)) {
        return Ok(Ok(found));
    }
    let known = KNOWN
        .into_iter()
        .flat_map(matching)
        .filter_map(|directory| usable(&directory));
    if let Some(found) = known.max_by_key(|found| numbers(&found.version)) {
        return Ok(Ok(found));
    }
    Ok(Err(if refused.is_empty() {
        "none in PG_BIN_DIR, pg_config, PATH and the usual places".into()
    } else {
        format!(
            "none usable ({})",
            refused.into_iter().collect::<Vec<_>>().join("; ")
        )
    }))
}

/// Returns the server in `directory`, with links such as `/usr/local/bin/postgres` resolved.
fn look(directory: &Path) -> Result<Installed, String> {
    let resolved = fs::canonicalize(directory.join("postgres"))
        .map_err(|error| format!("no `postgres` in {}: {error}", directory.display()))?;
    let bin_dir = [resolved.parent().unwrap_or(directory), directory]
        .into_iter()
        .find(|place| place.join("initdb").is_file())
        .ok_or_else(|| format!("no `initdb` beside {}", resolved.display()))?;
    let bin_dir =
        fs::canonicalize(bin_dir).map_err(|error| format!("{}: {error}", bin_dir.display()))?;
    let version = version(&bin_dir, None)?;
    match numbers(&version).first() {
        Some(major) if *major >= OLDEST => Ok(Installed { bin_dir, version }),
        _ => Err(format!(
            "{} is PostgreSQL {version}; {OLDEST} or newer is needed",
            bin_dir.display()
        )),
    }
}

/// Returns the version that `postgres -V` in `bin_dir` prints, or why it does not run.
pub(super) fn version(bin_dir: &Path, libraries: Option<&Path>) -> Result<String, String> {
    let program = bin_dir.join("postgres");
    let mut command = Command::new(&program);
    command.arg("-V").env("LC_ALL", "C").stdin(Stdio::null());
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    let output = command
        .output()
        .map_err(|error| format!("{} does not run: {error}", program.display()))?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told
        .split_once("(PostgreSQL) ")
        .and_then(|(_, rest)| rest.split_whitespace().next())
    {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.lines().next().unwrap_or("it says nothing");
            Err(format!(
                "{} -V does not tell a version: {complaint}",
                program.display()
            ))
        }
    }
}

/// Parses a version: `15.18` as `[15, 18]`, `18beta1` as `[18]`.
pub(super) fn numbers(version: &str) -> Vec<u32> {
    let digits = |part: &str| {
        part.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    version.split('.').map_while(digits).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = path.trim_end();
    (output.status.success() && !path.is_empty()).then(|| path.into())
}

/// Returns the directories that match `pattern`.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        found = match part.split_once('*') {
            None => found.into_iter().map(|path| path.join(part)).collect(),
            Some((before, after)) => found
                .iter()
                .filter_map(|path| fs::read_dir(path).ok())
                .flat_map(Iterator::flatten)
                .filter(|entry| {
                    entry
                        .file_name()
                        .to_str()
                        .is_some_and(|name| name.starts_with(before) && name.ends_with(after))
                })
                .map(|entry| entry.path())
                .collect(),
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(numbers("15.18"), [15, 18]);
        assert_eq!(numbers("18beta1"), [18]);
        assert_eq!(numbers("17devel"), [17]);
        assert!(numbers("9.6.24") < numbers("13.0"));
        assert!(numbers("13.9") < numbers("13.10"));
        assert!(numbers("nonsense").is_empty());
    }

    #[test]
    fn a_pattern_means_the_directories_that_are_there() {
        assert_eq!(matching("/de*/"), [PathBuf::from("/dev")]);
        assert!(matching("/no such place/*/bin").is_empty());
    }

    #[test]
    fn a_directory_without_a_server_is_refused_by_name() {
        let refusal = look(Path::new("/dev")).expect_err("there is no server in /dev");
        assert!(refusal.contains("/dev"), "{refusal}");
    }
}
