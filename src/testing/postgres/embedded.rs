//! The server of the feature `embedded-postgres`.
//!
//! Three crates contain the files of a PostgreSQL 18.4 for Linux on x86-64 with glibc 2.38 or newer. They are not made
//! for this use, so their version is pinned, and the server's version is checked before it is used.

use std::path::Path;
use std::time::Duration;

use super::account::Account;
use super::directory::Directory;
use super::error::ServerError;
use super::installed;
use super::private::PrivateServer;
use super::supervisor::{Supervisor, Verb};

/// The crates that contain the files.
pub(super) const CRATES: &str = "liboliphaunt-native-linux-x64-gnu-part-001, -002 and -003";

const READY: Duration = Duration::from_secs(30);

/// Starts the server; returns `Ok(Err(..))` with the reason if it cannot be used here.
pub(super) fn start(
    arguments: &dyn Fn(&Path) -> Vec<String>,
    port: u16,
) -> Result<Result<(PrivateServer, String), String>, ServerError> {
    let payloads = match payloads() {
        Ok(payloads) => payloads,
        Err(reason) => return Ok(Err(reason)),
    };
    let directory = Directory::choose()?;
    let runtime = directory.path.join("runtime");
    let (bin_dir, libraries) = (runtime.join("bin"), runtime.join("lib"));
    let arguments = arguments(&directory.path);
    // The supervisor is started before the directory is filled, so that the directory is removed also if this process
    // is killed.
    let mut supervisor = Supervisor::spawn(directory, &bin_dir, &arguments, Some(&libraries))?;
    supervisor.command(Verb::Ready, READY)?;
    for payload in payloads {
        if let Err(error) = unpack(&payload, &runtime, supervisor.account()) {
            return Ok(Err(format!(
                "cannot copy {} to {}: {error}",
                payload.display(),
                runtime.display()
            )));
        }
    }
    match installed::version(&bin_dir, Some(&libraries)) {
        Err(reason) => Ok(Err(reason)),
        Ok(version) => {
            let label = format!("the embedded PostgreSQL {version}");
            PrivateServer::start(supervisor, label, port).map(|server| Ok((server, version)))
        }
    }
}

/// Returns the directories to copy into one.
#[cfg(all(
    feature = "embedded-postgres",
    target_os = "linux",
    target_arch = "x86_64",
    target_env = "gnu"
))]
fn payloads() -> Result<Vec<std::path::PathBuf>, String> {
    [
        liboliphaunt_native_linux_x64_gnu_part_001::PAYLOAD_ROOT,
        liboliphaunt_native_linux_x64_gnu_part_002::PAYLOAD_ROOT,
        liboliphaunt_native_linux_x64_gnu_part_003::PAYLOAD_ROOT,
    ]
    .into_iter()
    .map(|root| {
        let files = Path::new(root).join("files/runtime");
        if files.is_dir() {
            Ok(files)
        } else {
            Err(format!(
                "{} is not there: run it on the machine that built it",
                files.display()
            ))
        }
    })
    .collect()
}

#[cfg(all(
    feature = "embedded-postgres",
    not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))
))]
fn payloads() -> Result<Vec<std::path::PathBuf>, String> {
    Err("there is none for this system, only for Linux on x86-64 with glibc".into())
}

#[cfg(not(feature = "embedded-postgres"))]
fn payloads() -> Result<Vec<std::path::PathBuf>, String> {
    Err("the feature `embedded-postgres` is off".into())
}

/// Copies the tree `from` into `to`; files in a `bin` become executable.
///
/// The directories are given to `account`, which has to remove them; a crate's files have lost the permission to run.
fn unpack(from: &Path, to: &Path, account: &Account) -> std::io::Result<()> {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    if !to.is_dir() {
        fs::create_dir(to)?;
        account.own(to)?;
    }
    let mode = if to.file_name().is_some_and(|name| name == "bin") {
        0o755
    } else {
        0o644
    };
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            unpack(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::set_permissions(&target, Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
