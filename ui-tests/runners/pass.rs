//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::sync::Arc;

use phasegate::{DryRunner, Error, LiveRunner, Plan, RehearsalRunner, Target, approval::UnsignedApprovals, connect::{ConnectError, Connection, Connector, PostgresConnector}, switch::InProcessSwitch};
use pipeline::{Adapter, Simulator};

fn live_without_a_plan(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn live_without_a_kill_switch(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn live_without_an_authority(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn live_without_a_connector(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn live_without_an_adapter(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn dry_without_a_simulator(target: Target) -> Result<(), Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn dry_without_a_target(target: Target) -> Result<(), Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn connector_for_a_dry_run(target: Target) -> Result<(), Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn anything_as_kill_switch(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

struct Shared(Arc<postgres::Config>);

impl Connector for Shared {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        Ok(self.0.connect(postgres::NoTls)?.into())
    }
}

fn connect_by_a_connector_that_stays_in_its_thread() -> Shared {
    Shared(Arc::default())
}

fn rehearsal_without_an_adapter() -> Result<(), Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn rehearsal_without_a_connector() -> Result<(), Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))?;
    Ok(())
}

fn second_kill_switch(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch((InProcessSwitch::new(), InProcessSwitch::new()))
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn second_plan(approved: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(approved)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn second_authority(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn second_adapter() -> Result<phasegate::runner::RehearsalReport<()>, Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn second_connector() -> Result<phasegate::runner::RehearsalReport<()>, Error> {
    RehearsalRunner::new("items")
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, _| Ok(()))
}

fn second_target(target: Target) -> Result<phasegate::runner::DryRunReport<()>, Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|_, _| Ok(()))
}

fn second_simulator(target: Target) -> Result<phasegate::runner::DryRunReport<()>, Error> {
    DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|_, _| Ok(()))
}
