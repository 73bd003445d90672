//! The account that the server runs as.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::error::ServerError;

/// The account that the private server runs as: that of this process, or another one if this process is root.
///
/// `initdb` and `postgres` refuse to run as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    Own,
    Other {
        name: &'static str,
        uid: u32,
        gid: u32,
    },
}

impl Account {
    /// Chooses the account that the server runs as.
    pub(super) fn choose() -> Result<Self, ServerError> {
        // Only `unsafe` code could ask the system directly.
        let reason = match id(&["-u"]) {
            Some(0) => match ["postgres", "nobody"].into_iter().find_map(Self::named) {
                Some(account) => return Ok(account),
                None => "root cannot run it, and there is no account `postgres` or `nobody`",
            },
            Some(_) => return Ok(Self::Own),
            None => "`id -u` tells no number",
        };
        Err(ServerError::Program {
            doing: "find an account to run the server",
            program: "id".into(),
            reason: reason.into(),
        })
    }

    fn named(name: &'static str) -> Option<Self> {
        let (uid, gid) = (id(&["-u", name])?, id(&["-g", name])?);
        (uid != 0).then_some(Self::Other { name, uid, gid })
    }

    /// Makes this account the owner of `path`.
    pub(super) fn own(&self, path: &Path) -> std::io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// Makes `command` run as this account, without this process's supplementary groups.
    pub(super) fn run(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("this account"),
            Self::Other { name, .. } => write!(f, "the account `{name}`"),
        }
    }
}

/// Runs `id`, which also knows accounts from LDAP and the like.
fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number: i64 = text.trim().parse().ok()?;
    // macOS prints the account `nobody` as -2.
    u32::try_from(number)
        .or_else(|_| i32::try_from(number).map(i32::cast_unsigned))
        .ok()
}
