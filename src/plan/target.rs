use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::printable::Printable;

/// The one database that a plan is for.
///
/// A target is a description, not a proof: the engine compares it with the connected server before each phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    system_identifier: String,
    database: String,
    role: String,
}

impl Target {
    /// Creates a target: the database `database` of the cluster with this system identifier (as `pg_control_system()`
    /// prints it), to be changed by `role`.
    ///
    /// [`Target::identify`] asks the server for all three.
    pub fn new(
        system_identifier: impl Into<String>,
        database: impl Into<String>,
        role: impl Into<String>,
    ) -> Self {
        Target {
            system_identifier: system_identifier.into(),
            database: database.into(),
            role: role.into(),
        }
    }

    /// Returns the same database, to be changed by another role: for a plan that is made in a session of a read-only
    /// role, where the password of the performing role is not available.
    ///
    /// ```
    /// # use phasegate::Target;
    /// let seen = Target::new("7512", "bank", "planner");
    /// assert_eq!(seen.performed_by("closer").role(), "closer");
    /// ```
    #[must_use]
    pub fn performed_by(self, role: impl Into<String>) -> Self {
        Target {
            role: role.into(),
            ..self
        }
    }

    /// Returns the system identifier of the cluster: `initdb` sets it, and only standbys share it.
    #[must_use]
    pub fn system_identifier(&self) -> &str {
        &self.system_identifier
    }

    /// Returns the name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns the role that changes the database.
    #[must_use]
    pub fn role(&self) -> &str {
        &self.role
    }

    pub(crate) fn is_same_database(&self, other: &Target) -> bool {
        self.system_identifier == other.system_identifier && self.database == other.database
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "database `{}` of cluster {} as role `{}`",
            Printable(&self.database),
            Printable(&self.system_identifier),
            Printable(&self.role)
        )
    }
}
