use std::fmt;
use std::time::SystemTime;

use crate::base::printable::Printable;

/// A session that has a phase or a commit in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockingSession {
    /// The process id of its backend; `None` for a prepared transaction, which has no session.
    pub pid: Option<i32>,
    /// The role, where the server reveals it.
    pub role: Option<String>,
    /// The session's `application_name`: for a session of this crate, the first 8 digits of its plan, the place of the
    /// phase, and its name or its progress. Any session can set any name.
    pub application_name: Option<String>,
    /// When its transaction began.
    pub since: Option<SystemTime>,
    /// The name of the prepared transaction, if it is one: `ROLLBACK PREPARED` ends it.
    pub prepared: Option<String>,
}

impl fmt::Display for BlockingSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.prepared) {
            (Some(pid), _) => write!(f, "process {pid}")?,
            (None, Some(name)) => write!(f, "prepared transaction `{}`", Printable(name))?,
            (None, None) => f.write_str("a session that the server does not name")?,
        }
        if let Some(role) = &self.role {
            write!(f, " of role `{}`", Printable(role))?;
        }
        match &self.application_name {
            Some(name) if !name.is_empty() => {
                write!(f, ", which calls itself `{}`", Printable(name))?;
            }
            _ => {}
        }
        let running = self.since.and_then(|since| since.elapsed().ok());
        running.map_or(Ok(()), |since| write!(f, ", for {} s", since.as_secs()))
    }
}
