//! A scratch database that is ready for runs of a pipeline.

use std::sync::{Mutex, PoisonError};

use postgres::{Client, Config, NoTls};

use super::error::ServerError;
use super::role::ScratchRole;
use super::scratch::ScratchDatabase;
use super::server::TestPostgres;
use crate::connect::PostgresConnector;
use crate::operator::Operator;
use crate::runner::{LiveReport, RehearsalReport};
use crate::testing::approves_everything::ApprovesEverything;
use crate::testing::scripted_switch::ScriptedSwitch;
use crate::{
    Error, KillSwitchOn, Live, LiveRunner, Plan, Rehearsal, RehearsalRunner, Run, Switch, Target,
};

/// A database of its own for one test of an adapter, with the schema `phasegate`, the tables of the test, and a role
/// that performs phases. It is dropped with this value.
#[derive(Debug)]
pub struct PreparedDatabase {
    runner: ScratchRole,
    target: Target,
    operator: Mutex<Operator>,
    database: ScratchDatabase,
}

impl TestPostgres {
    /// Creates a database, and performs the statements of `sql` in it as its owner. In these, `{runner}` stands for
    /// the role that performs phases, for `GRANT`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses a statement.
    pub fn prepare(&self, sql: &str) -> Result<PreparedDatabase, ServerError> {
        let (database, operator) = self.create_installed_database()?;
        let runner = database.create_runner("runner")?;
        let sql = sql.replace("{runner}", runner.name());
        let doing = |doing: &str| {
            let doing = doing.to_owned();
            |error| ServerError::Sql { doing, error }
        };
        let mut admin = database.connect_admin()?;
        admin
            .batch_execute(&sql)
            .map_err(doing("prepare the database of the test"))?;
        let mut session = runner
            .config()
            .connect(NoTls)
            .map_err(doing("connect as the runner"))?;
        let target = Target::identify(&mut session).map_err(|error| ServerError::Unfit {
            reason: error.to_string(),
            remedy: error.hint(),
        })?;
        Ok(PreparedDatabase {
            runner,
            target,
            operator: Mutex::new(operator),
            database,
        })
    }
}

impl PreparedDatabase {
    /// Returns the target, for which a plan is made.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns a configuration of the role that performs phases.
    #[must_use]
    pub fn config(&self) -> Config {
        self.runner.config()
    }

    /// Returns a connector of the role that performs phases.
    #[must_use]
    pub fn connector(&self) -> PostgresConnector {
        PostgresConnector::no_tls(self.config())
    }

    /// Connects as the owner of the database.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not respond.
    pub fn admin(&self) -> Result<Client, ServerError> {
        self.database.connect_admin()
    }

    /// Admits a plan, with every approval of [`ApprovesEverything`].
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it.
    pub fn admit(&self, plan: &Plan) -> Result<(), ServerError> {
        let mut operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = ApprovesEverything::admit(&mut operator, plan);
        admitted.map_err(|error| ServerError::Unfit {
            reason: error.to_string(),
            remedy: error.hint(),
        })
    }

    /// Rehearses a pipeline: `adapter` performs it, its effects are measured, and everything is rolled back.
    ///
    /// # Errors
    ///
    /// As [`RehearsalRunner::run`].
    pub fn rehearse<W, V, F>(&self, adapter: W, pipeline: F) -> Result<RehearsalReport<V>, Error>
    where
        F: for<'run> FnOnce(
            &mut Run<'run, Rehearsal, W>,
            &Switch<'run, Rehearsal>,
        ) -> Result<V, Error>,
    {
        RehearsalRunner::new("rehearsed")
            .connector(self.connector())
            .adapter(adapter)
            .run(pipeline)
    }

    /// Performs an admitted plan live, with a switch that is always ON and an authority that approves everything.
    ///
    /// # Errors
    ///
    /// As [`LiveRunner::run`].
    pub fn live<W, V, F>(
        &self,
        plan: &Plan,
        adapter: W,
        pipeline: F,
    ) -> Result<LiveReport<V>, Error>
    where
        F: for<'run> FnOnce(&mut Run<'run, Live, W>, &KillSwitchOn<'run>) -> Result<V, Error>,
    {
        LiveRunner::new(plan.pipeline())
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(self.connector())
            .adapter(adapter)
            .run(pipeline)
    }
}
