//! A database with the register of the IU cutter in it, and functions that run the five phases there.
#![allow(unreachable_pub)]

use std::sync::{Mutex, OnceLock, PoisonError};

use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScratchDatabase, ScratchRole, ScriptedSwitch, TestPostgres,
};
use phasegate::{
    DryRunner, Error, LiveRunner, Plan, Target,
    approval::{Authority, UnsignedApprovals},
    connect::{Connector, PostgresConnector},
    error::{Refusal, Rollback},
    operator::Operator,
    switch::KillSwitch,
};
use postgres::{Client, NoTls};

use crate::phases::{self, Document, Enacted, PIPELINE, cut_and_enact};
use crate::register::Register;
use crate::simulator::Simulator;
use crate::{install, markdown};

pub const PHASES: [&str; 5] = [
    "cut_leg_a",
    "write_verify",
    "cut_leg_b",
    "lifecycle_enact",
    "enact_verify",
];
pub const CHARTER: &str = include_str!("../../charter.md");
pub const AMENDMENT: &str = include_str!("../../amendment.md");

/// A database with the register in it.
pub struct TestDatabase {
    scratch: ScratchDatabase,
    runner: ScratchRole,
    operator: Mutex<Operator>,
    pub target: Target,
}

pub fn test_database() -> TestDatabase {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| TestPostgres::find_or_start().expect("a server"));
    let created = server.create_installed_database();
    let (scratch, operator) = created.expect("a database with the schema");
    let operator = Mutex::new(operator);
    let runner = scratch.create_runner("iu_runner").expect("a role");
    let mut admin = scratch.admin().connect(NoTls).expect("the installer");
    install::install(&mut admin, runner.name()).expect("the register");
    for table in ["iu.unit", "iu.lifecycle_log"] {
        phasegate::schema::protect(&mut admin, table).expect("the guard");
    }
    let mut client = runner.config().connect(NoTls).expect("the runner");
    let target = Target::identify(&mut client).expect("the target");
    TestDatabase {
        scratch,
        runner,
        operator,
        target,
    }
}

impl TestDatabase {
    pub fn admin(&self) -> Client {
        self.scratch.admin().connect(NoTls).expect("the installer")
    }

    pub fn sql(&self, sql: &str) {
        self.admin().batch_execute(sql).expect(sql);
    }

    /// Returns how many units there are, how many of them are enacted, and how many entries the log has.
    pub fn tables(&self) -> (i64, i64, i64) {
        let sql = "SELECT count(*), count(*) FILTER (WHERE state = 'enacted'), \
                     (SELECT count(*) FROM iu.lifecycle_log) FROM iu.unit";
        let row = self.admin().query_one(sql, &[]).expect("the tables");
        (row.get(0), row.get(1), row.get(2))
    }

    pub fn connector(&self) -> PostgresConnector {
        PostgresConnector::no_tls(self.runner.config())
    }

    /// Performs all five phases live by the register's adapter, and records the calls.
    pub fn live(&self, document: &Document, calls: &Calls) -> Result<Enacted, Error> {
        live(
            self.plan(document),
            document,
            ScriptedSwitch::always_on(),
            ApprovesEverything,
            Recorder::new(self.connector(), calls),
            Recorder::new(Register, calls),
        )
    }

    /// Admits the approvals, as an operator.
    pub fn admit(&self, approvals: &UnsignedApprovals) {
        let mut operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        for approval in approvals.attestations() {
            operator
                .admit_approval(approval)
                .expect("an operator admits");
        }
    }

    /// Returns the plan for `document`, admitted together with every approval of [`ApprovesEverything`].
    pub fn plan(&self, document: &Document) -> Plan {
        let plan = plan(&self.target, document);
        let mut operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        ApprovesEverything::admit(&mut operator, &plan).expect("an operator admits");
        plan
    }
}

pub fn plan(target: &Target, document: &Document) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(target.clone())
        .simulator(Simulator);
    dry.run(|run, on| cut_and_enact(run, on, document))
        .expect("a dry run")
        .plan
}

pub fn live<W>(
    plan: Plan,
    document: &Document,
    switch: impl KillSwitch,
    authority: impl Authority,
    connector: impl Connector,
    adapter: W,
) -> Result<Enacted, Error>
where
    W: phases::PerformsAll<phasegate::Live>,
{
    LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(switch)
        .authority(authority)
        .connector(connector)
        .adapter(adapter)
        .run(|run, on| cut_and_enact(run, on, document))
        .map(phasegate::runner::LiveReport::into_value)
}

pub fn document(name: &str, text: &str) -> Document {
    let units = markdown::cut(name, text, false).expect("a document").units;
    Document {
        name: name.to_owned(),
        units,
    }
}

pub fn three_units() -> Document {
    document(
        "three.md",
        "# One\n\nFirst.\n\n## Two\n\nSecond.\n\n## Three\n\nThird.\n",
    )
}

#[track_caller]
pub fn refusal(result: Result<Enacted, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
pub fn rollback(result: Result<Enacted, Error>) -> Rollback {
    match result {
        Err(Error::RolledBack(rollback)) => rollback,
        other => panic!("not rolled back: {other:?}"),
    }
}
