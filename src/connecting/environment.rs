use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::EndpointError;

/// The environment variables and the working directory that a [`Connect`](super::Connect) reads.
///
/// A value, so that a test passes its own and does not change that of the process.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    directory: PathBuf,
}

impl Environment {
    /// Returns the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Environment {
            variables: std::env::vars_os().collect(),
            directory: std::env::current_dir().unwrap_or_default(),
        }
    }

    /// Returns an environment without a variable, in this working directory.
    pub fn empty(directory: impl Into<PathBuf>) -> Self {
        Environment {
            variables: BTreeMap::new(),
            directory: directory.into(),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn var(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Returns a variable. An empty one counts as unset, as in libpq.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        Some(value.as_os_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, EndpointError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(text) => Ok(Some(text)),
            None => Err(EndpointError::malformed(name, "is not UTF-8")),
        }
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|path| self.directory.join(path))
    }

    /// Returns a file in the home directory.
    pub(crate) fn home(&self, file: &str) -> Option<PathBuf> {
        self.path("HOME").map(|home| home.join(file))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Names the variables, and no value: one may be a password.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("directory", &self.directory)
            .finish()
    }
}
