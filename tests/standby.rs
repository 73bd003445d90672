//! A standby cannot commit, and is refused before anything is tried.
#![allow(clippy::unwrap_used)]

mod pipeline;

use std::fs::File;

use phasegate::testing::{
    ApprovesEverything, ScriptedSwitch, Shutdown, TestPostgres, TripwireAdapter,
};
use phasegate::{
    DryRunner, LiveRunner, Start, Target, connect::PostgresConnector, error::RefusalReason,
};
use pipeline::{Draft, Simulator};
use postgres::NoTls;

#[test]
fn a_server_that_has_become_a_standby_is_refused() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let config = server.admin();
    let target = Target::identify(&mut config.connect(NoTls).unwrap()).unwrap();
    let plan = DryRunner::new("items")
        .target(target)
        .simulator(Simulator)
        .run(|run, on| {
            let sg1 = run.approval()?;
            run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
            Ok(())
        })
        .unwrap()
        .plan;

    server.shut_down(Shutdown::Fast).unwrap();
    let data = server.directory().unwrap().join("data");
    File::create(data.join("standby.signal")).unwrap();
    server.start_again().unwrap();

    let refused = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(config))
        .adapter(TripwireAdapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?;
            Ok(())
        })
        .unwrap_err();
    assert!(
        matches!(refused.reason(), Some(RefusalReason::Standby)),
        "{refused}"
    );
}
