//! The database of the demonstration, which is dropped after it.

use phasegate::testing::{ScratchDatabase, ScratchRole, TestPostgres};
use phasegate::{
    Plan, Target, approval::AdmittedApprovals, connect::PostgresConnector, operator::Operator,
    schema::protect,
};
use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::approvers::Approvers;
use crate::install;

/// A database with the register in it, and the role that runs phases there.
pub struct TestDatabase {
    database: ScratchDatabase,
    runner: ScratchRole,
    admin: Client,
    /// The session of an operator, who may admit plans and turn the database's kill switch on and off.
    pub operator: Operator,
    pub target: Target,
    pub approvers: Approvers,
    // Last, so that the database is dropped before its server ends.
    server: TestPostgres,
}

impl TestDatabase {
    /// Finds or starts a server, creates the database, installs the schema `phasegate` and the register, and guards
    /// the register's tables.
    pub fn found() -> Result<Self, Box<dyn std::error::Error>> {
        let server = TestPostgres::find_or_start()?;
        let database = server.create_database()?;
        let operator = database.install()?;
        let runner = database.create_runner("iu_runner")?;
        let mut admin = database.admin().connect(NoTls)?;
        install::install(&mut admin, runner.name())?;
        for table in ["iu.unit", "iu.lifecycle_log"] {
            protect(&mut admin, table)?;
        }
        let target = Target::identify(&mut runner.config().connect(NoTls)?)?;
        Ok(TestDatabase {
            database,
            runner,
            admin,
            operator,
            target,
            approvers: Approvers::with_new_keys(place(&server)?)?,
            server,
        })
    }

    /// Creates a temporary directory.
    pub fn place(&self) -> std::io::Result<TempDir> {
        place(&self.server)
    }

    /// Returns the session of the administrator, who may read the journal too.
    pub fn admin(&mut self) -> &mut Client {
        &mut self.admin
    }

    /// Returns the names of the server and the database.
    pub fn describe(&self) -> (String, String) {
        (
            self.server.source().to_string(),
            self.database.name().to_owned(),
        )
    }

    /// Has the plan approved by its approvers, and admits the plan and its approvals as an operator does: without that,
    /// the database opens no phase of the plan.
    pub fn admit(&mut self, plan: &Plan) -> Result<(), Box<dyn std::error::Error>> {
        let approvals = self.approvers.both(plan)?;
        let _ = self.operator.admit_plan(plan)?;
        for approval in approvals.attestations()? {
            self.operator.admit_approval(&approval)?;
        }
        Ok(())
    }

    /// Returns the admitted approvals, as the role that runs phases reads them: that role needs no keys.
    pub fn admitted(&self) -> AdmittedApprovals {
        AdmittedApprovals::through(PostgresConnector::no_tls(self.runner()))
    }

    /// Returns the configuration of the role that runs phases, which is no superuser and has no CREATE, no TEMP and no
    /// table of its own.
    pub fn runner(&self) -> Config {
        self.runner.config()
    }

    /// Returns a digest of the register's content: two equal ones mean that nothing changed.
    pub fn fingerprint(&mut self) -> Result<Fingerprint, postgres::Error> {
        let row = self.admin.query_one(
            "SELECT (SELECT count(*) FROM iu.unit), \
                    (SELECT count(*) FROM iu.unit WHERE state = 'enacted'), \
                    (SELECT count(*) FROM iu.lifecycle_log), \
                    md5(coalesce((SELECT string_agg(u::text, '|' ORDER BY u::text) FROM iu.unit u), '') || \
                        coalesce((SELECT string_agg(l::text, '|' ORDER BY l::text) FROM iu.lifecycle_log l), ''))",
            &[],
        )?;
        Ok(Fingerprint {
            units: row.try_get(0)?,
            enacted: row.try_get(1)?,
            log_entries: row.try_get(2)?,
            content: row.try_get(3)?,
        })
    }
}

/// Creates a temporary directory among a private server's own files, which are removed even if this program is killed. It
/// gets their owner, who has to remove it too.
fn place(server: &TestPostgres) -> std::io::Result<TempDir> {
    let Some(directory) = server.directory() else {
        return tempfile::tempdir();
    };
    let place = tempfile::tempdir_in(directory)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        let owner = directory.metadata()?;
        chown(&place, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(place)
}

/// The content of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub units: i64,
    pub enacted: i64,
    pub log_entries: i64,
    content: String,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "units {}, enacted {}, log entries {}, md5 of both tables {}",
            self.units,
            self.enacted,
            self.log_entries,
            &self.content[..8]
        )
    }
}
