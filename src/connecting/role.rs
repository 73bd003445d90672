use std::fmt;

/// What a connection is for. Each role has its own variable, section of `phasegate.toml` and credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Performs phases.
    Runner,
    /// Admits plans and approvals, and turns the switch.
    Operator,
    /// Reads the journal and the evidence.
    Auditor,
    /// Owns the tables, and installs the schema.
    Owner,
    /// Reads the data, for dry runs.
    Reader,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [
        Role::Runner,
        Role::Operator,
        Role::Auditor,
        Role::Owner,
        Role::Reader,
    ];

    /// Returns the name in variables and files, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Runner => "runner",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
            Role::Owner => "owner",
            Role::Reader => "reader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
