//! A real database for each test, with the small pipeline's table in it and a role that may use that.
#![allow(dead_code, unreachable_pub)]

mod prepared;
pub mod proxy;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, ScratchDatabase, ScratchRole, TestPostgres};
use phasegate::{
    DryRunner, Error, Execute, Failure, Mode, Perform, PhaseTx, Plan, Receipt, Run, Start, Switch,
    Target, connect::PostgresConnector, operator::Operator, runner::LiveReport,
};
use postgres::{Client, Config, NoTls};

use crate::pipeline::{Adapter, Draft, Simulator, pipeline};

/// The name of the tests' pipelines.
pub const PIPELINE: &str = "small";

/// What `synchronous_commit` can be.
const LEVELS: &str = "ARRAY['off', 'local', 'on', 'remote_write', 'remote_apply']";

/// How long anything that happens by itself may take.
const BOUND: Duration = Duration::from_secs(20);

/// A database with the table `item`, and the role that performs phases in it.
pub struct Database {
    scratch: ScratchDatabase,
    pub runner: ScratchRole,
    pub target: Target,
    operator: Mutex<Operator>,
}

pub use prepared::Prepared;

/// A new database on the server of this test binary.
pub fn database() -> Database {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| TestPostgres::find_or_start().expect("a server"));
    let created = server.create_installed_database();
    let (scratch, operator) = created.expect("a database with the schema");
    database_in(scratch, operator)
}

/// A new database on a server that a test has for itself, and in which there is no other.
pub fn database_on(server: &TestPostgres) -> Database {
    let scratch = server.create_database().expect("a database");
    let operator = scratch.install().expect("the schema phasegate");
    database_in(scratch, operator)
}

fn database_in(scratch: ScratchDatabase, operator: Operator) -> Database {
    let operator = Mutex::new(operator);
    let runner = scratch.create_runner("runner").expect("a role");
    let mut client = scratch.admin().connect(NoTls).expect("the administrator");
    client
        .batch_execute(&format!(
            "CREATE TABLE item (name text PRIMARY KEY, state text); \
             SELECT phasegate.protect('item'); \
             GRANT SELECT, INSERT, UPDATE, DELETE ON item TO {}",
            runner.name()
        ))
        .expect("the table");
    let mut client = runner.config().connect(NoTls).expect("the runner");
    let target = Target::identify(&mut client).expect("the target");
    Database {
        scratch,
        runner,
        target,
        operator,
    }
}

/// A target that no server is.
pub fn nowhere() -> Target {
    Target::new("0", "nowhere", "nobody")
}

/// The plan of the small pipeline for `target`.
pub fn plan_for(target: &Target, draft: &Draft) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(target.clone())
        .simulator(Simulator)
        .run(|run, on| pipeline(run, on, draft.clone()));
    dry.expect("a dry run").plan
}

/// A pipeline of the one phase `Draft`.
pub fn drafting<'run, M: Mode, W: Perform<M, Draft>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    draft: &Draft,
) -> Result<Receipt<'run, Draft, M>, Error> {
    let sg1 = run.approval()?;
    run.phase(draft.clone()).perform(on, sg1, Start)
}

/// The plan of `drafting` for `target`.
pub fn drafting_plan(target: &Target, draft: &Draft) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(target.clone())
        .simulator(Simulator)
        .run(|run, on| drafting(run, on, draft).map(Receipt::into_output));
    dry.expect("a dry run").plan
}

/// A live adapter of `Draft` that does what its closure does.
pub struct Does<F>(F);

pub fn does<F>(f: F) -> Does<F>
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    Does(f)
}

impl<F> Execute<Draft> for Does<F>
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    fn execute(&mut self, draft: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        (self.0)(draft, tx)
    }
}

impl Database {
    /// A session of the administrator, who owns the table.
    pub fn admin(&self) -> Client {
        let client = self.scratch.admin().connect(NoTls);
        client.expect("the administrator")
    }

    pub fn admin_config(&self) -> Config {
        self.scratch.admin()
    }

    /// Performs statements as the administrator.
    pub fn sql(&self, sql: &str) {
        self.admin().batch_execute(sql).expect(sql);
    }

    /// Has a constraint trigger of the table's owner do `body` for each row, when the phase is
    /// about to be committed.
    pub fn at_commit(&self, body: &str) {
        self.sql(&format!(
            "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
               AS $$ BEGIN {body}; RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON item \
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
        ));
    }

    /// Has a constraint trigger fire in the drain, do `then`, put itself off to the commit, and look
    /// there how durable that is. What it saw stays in a sequence: it is too late for any table.
    pub fn watch_durability_at_commit(&self, then: &str) {
        self.sql("CREATE SEQUENCE seen MINVALUE 0 START 0");
        self.at_commit(&format!(
            "IF NOT (SELECT is_called FROM public.seen) THEN \
               PERFORM setval('public.seen', 0); {then}; \
               SET CONSTRAINTS public.at_commit DEFERRED; \
               INSERT INTO public.item VALUES ('again', 'draft'); \
             ELSE \
               PERFORM setval('public.seen', array_position({LEVELS}, current_setting('synchronous_commit'))); \
             END IF"
        ));
    }

    /// What `watch_durability_at_commit` has seen.
    pub fn durability_at_commit(&self) -> String {
        self.ask(&format!("SELECT ({LEVELS})[last_value] FROM seen"))
    }

    /// A role that may log in, and nothing more.
    pub fn role(&self, label: &str) -> ScratchRole {
        self.scratch.create_role(label).expect("a role")
    }

    /// Returns the single value of the administrator's query.
    pub fn ask<T: for<'a> postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.admin().query_one(sql, &[]).expect(sql).get(0)
    }

    /// The session of an operator: the kill switch is on until it turns the switch off.
    pub fn operator(&self) -> MutexGuard<'_, Operator> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a plan, with every approval of [`ApprovesEverything`].
    pub fn admit(&self, plan: &Plan) {
        ApprovesEverything::admit(&mut self.operator(), plan).expect("an operator admits");
    }

    pub fn connector(&self) -> PostgresConnector {
        PostgresConnector::no_tls(self.runner.config())
    }

    /// The rows of the table, as another session sees them.
    pub fn items(&self) -> Vec<(String, String)> {
        let rows = self.admin().query("SELECT * FROM item ORDER BY name", &[]);
        let rows = rows.expect("the items");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The names of the rows, and their states, if they have any.
    pub fn items_with_nulls(&self) -> Vec<(String, Option<String>)> {
        let rows = self.admin().query("SELECT * FROM item ORDER BY name", &[]);
        let rows = rows.expect("the items");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub fn plan(&self, draft: &Draft) -> Plan {
        plan_for(&self.target, draft)
    }

    /// A live run of `plan` by the small pipeline's adapter.
    pub fn live(&self, plan: Plan) -> Prepared<Adapter> {
        self.live_by(plan, Adapter)
    }

    /// A live run of `plan` by `adapter`.
    pub fn live_by<W>(&self, plan: Plan, adapter: W) -> Prepared<W> {
        if plan.target() == &self.target {
            self.admit(&plan);
        }
        Prepared::new(plan, self.connector(), adapter)
    }

    /// Performs the one phase `Draft` live by what `f` does, and returns how that ended.
    pub fn draft_by<F>(&self, draft: &Draft, f: F) -> Result<u64, Error>
    where
        F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
    {
        self.live_by(drafting_plan(&self.target, draft), does(f))
            .run(|run, on| drafting(run, on, draft).map(Receipt::into_output))
            .map(LiveReport::into_value)
    }

    /// How many locks on tables of this database sessions of the runner hold or wait for.
    pub fn locks(&self) -> i64 {
        let runner = self.runner.name();
        self.ask(&format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
             WHERE usename = '{runner}' AND locktype IN ('relation', 'tuple', 'advisory', 'transactionid')"
        ))
    }

    /// How many sessions the runner has.
    pub fn sessions(&self) -> i64 {
        let runner = self.runner.name();
        self.ask(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = '{runner}'"
        ))
    }

    /// Waits, with a bound, until the runner has no session; then nothing of it can be open.
    pub fn is_left_clean(&self) {
        self.until("the runner's session is gone", |database| {
            database.sessions() == 0
        });
        let prepared: i64 =
            self.ask("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()");
        assert_eq!(prepared, 0, "a prepared transaction was left");
    }

    /// Waits, with a bound, until `holds`.
    pub fn until(&self, what: &str, holds: impl Fn(&Database) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < BOUND, "not within {BOUND:?}: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The rows as `items` returns them, all in `state`.
pub fn all(names: &[&str], state: &str) -> Vec<(String, String)> {
    let item = |name: &&str| ((*name).to_owned(), state.to_owned());
    names.iter().map(item).collect()
}

/// The refusal in `answer`, or a panic that says what it was instead.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> phasegate::error::Refusal {
    match answer {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The rollback in `answer`, or a panic that says what it was instead.
#[track_caller]
pub fn rollback<T: std::fmt::Debug>(answer: Result<T, Error>) -> phasegate::error::Rollback {
    match answer {
        Err(Error::RolledBack(rollback)) => rollback,
        other => panic!("not rolled back: {other:?}"),
    }
}

/// The doubt in `answer`, or a panic that says what it was instead.
#[track_caller]
pub fn doubt<T: std::fmt::Debug>(answer: Result<T, Error>) -> phasegate::error::InDoubt {
    match answer {
        Err(Error::InDoubt(doubt)) => doubt,
        other => panic!("not in doubt: {other:?}"),
    }
}
