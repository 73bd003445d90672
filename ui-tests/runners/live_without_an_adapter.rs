//! A live run that was not given an adapter does not compile.

use phasegate::{Error, LiveRunner, Plan, approval::UnsignedApprovals, connect::PostgresConnector, switch::InProcessSwitch};

fn runs(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .run(|_, _| Ok(()))
}

fn main() {}
