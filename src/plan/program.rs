//! The program that made a plan, or that performs one.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::digest::Digest;
use crate::base::printable::Printable;

/// What a program says of itself, for the plan that it makes and the journal: the digest of its executable, and where it
/// comes from.
///
/// It is recorded, and compared only where the run asks for it
/// ([`LiveRunner::same_program`](crate::LiveRunner::same_program)): a program states it of itself, so it tells a rebuilt
/// program from the reviewed one, and does not stop a hostile one.
///
/// ```
/// use phasegate::plan::ProgramIdentity;
///
/// let program = ProgramIdentity::of_this_process()?
///     .version(env!("CARGO_PKG_VERSION"))
///     .commit("c90351d");
/// assert_eq!(program.sha256(), ProgramIdentity::of_this_process()?.sha256());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramIdentity {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    toolchain: Option<String>,
    sha256: Digest,
}

impl ProgramIdentity {
    /// Reads the executable of this process, and returns its name and its SHA-256. It is read once for each process.
    ///
    /// # Errors
    ///
    /// Returns an error if the executable cannot be read.
    pub fn of_this_process() -> io::Result<Self> {
        static READ: OnceLock<Digest> = OnceLock::new();
        let path = std::env::current_exe()?;
        let sha256 = match READ.get() {
            Some(digest) => *digest,
            None => *READ.get_or_init({
                let digest = sha256_of(&path)?;
                move || digest
            }),
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(ProgramIdentity {
            name: name.into_owned(),
            version: None,
            commit: None,
            toolchain: None,
            sha256,
        })
    }

    /// Adds its version: `env!("CARGO_PKG_VERSION")` in the program's own source.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Adds the commit that it was built from, as its build says.
    #[must_use]
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// Adds the toolchain that it was built by, as its build says: `rustc 1.91.0`.
    #[must_use]
    pub fn toolchain(mut self, toolchain: impl Into<String>) -> Self {
        self.toolchain = Some(toolchain.into());
        self
    }

    /// Returns the name of its executable.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the SHA-256 of its executable.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Returns each of its texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let said = [&self.version, &self.commit, &self.toolchain];
        let said = said.into_iter().flatten().map(String::as_str);
        [self.name.as_str()].into_iter().chain(said)
    }
}

fn sha256_of(path: &PathBuf) -> io::Result<Digest> {
    // The file that runs, also after another one has taken its path.
    let running = PathBuf::from("/proc/self/exe");
    let path = if cfg!(target_os = "linux") {
        &running
    } else {
        path
    };
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hasher))?;
    Digest::from_bytes(&hasher.finalize()).ok_or_else(|| io::Error::other("no SHA-256"))
}

struct HashWriter<'h>(&'h mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for ProgramIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.name))?;
        if let Some(version) = &self.version {
            write!(f, " {}", Printable(version))?;
        }
        if let Some(commit) = &self.commit {
            write!(f, ", commit {}", Printable(commit))?;
        }
        if let Some(toolchain) = &self.toolchain {
            write!(f, ", built by {}", Printable(toolchain))?;
        }
        write!(f, ", sha256 {}", self.sha256)
    }
}
