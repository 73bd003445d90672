//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use std::any::Any;
use std::cell::RefCell;

use phasegate::{Error, KillSwitchOn, Live, LiveRunner, PhaseSpec, Plan, Receipt, RehearsalRunner, Run, Sg1, Sg1Approved, Start, Ungated, approval::{Attestation, UnsignedApprovals}, connect::PostgresConnector, switch::InProcessSwitch};
use pipeline::{Adapter, Check, Draft};
use serde::{Deserialize, Serialize};

fn receipt_of_another_run<'this>(
    run: &mut Run<'this, Live, Adapter>,
    on: &KillSwitchOn<'this>,
    drafted: &Receipt<'this, Draft, Live>,
) -> Result<(), Error> {
    run.phase(Check).perform(on, Ungated, drafted)?;
    Ok(())
}

fn token_outlives_its_run(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, on| Ok(format!("{on:?}")))?;
    Ok(())
}

fn approval_outlives_its_run(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|run, _| {
            let _sg1 = run.approval::<Sg1>()?;
            Ok(run.attestations().cloned().collect::<Vec<_>>())
        })?;
    Ok(())
}

fn receipt_outlives_its_run(plan: Plan) -> Result<(), Error> {
    let _kept = LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            Ok(run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?.into_output())
        })?;
    Ok(())
}

fn token_kept_in_a_variable_outside(plan: Plan) -> Result<phasegate::runner::LiveReport<()>, Error> {
    let mut kept: Option<String> = None;
    LiveRunner::new("items")
        .plan(plan)
        .kill_switch(InProcessSwitch::new())
        .authority(UnsignedApprovals::new())
        .connector(PostgresConnector::no_tls(postgres::Config::new()))
        .adapter(Adapter)
        .run(|_, on| {
            kept = Some(format!("{on:?}"));
            Ok(())
        })
}

fn token_in_another_thread(on: &KillSwitchOn<'_>) {
    fn crosses(_: impl FnOnce() + Send) {}
    let text = format!("{on:?}");
    crosses(|| drop(text));
}

fn run_in_another_thread(runner: LiveRunner) {
    fn crosses<T: Send>(_: T) {}
    crosses(runner);
}

fn token_in_a_thread_local<'run>(run: &Run<'run, Live, Adapter>) {
    thread_local! {
        static KEPT: RefCell<Option<Vec<Attestation>>> = const { RefCell::new(None) };
    }
    KEPT.with(|kept| *kept.borrow_mut() = Some(run.attestations().cloned().collect::<Vec<_>>()));
}

fn token_as_any<'run>(run: &Run<'run, Live, Adapter>) -> Box<dyn Any> {
    Box::new(run.attestations().cloned().collect::<Vec<_>>())
}

fn token_in_a_boxed_closure<'run>(sg1: Sg1Approved<'run>) -> Box<dyn FnOnce() + 'run> {
    Box::new(move || drop(sg1))
}

fn token_in_a_spec() {
    #[derive(Serialize, Deserialize)]
    struct Carrier {
        #[serde(skip)]
        approver: Option<String>,
    }

    impl PhaseSpec for Carrier {
        const NAME: &'static str = "carrier";
        type Gate = Ungated;
        type After = Start;
        type Output = ();
    }
}

fn token_in_an_output() {
    #[derive(Serialize, Deserialize)]
    struct Carrier;

    impl PhaseSpec for Carrier {
        const NAME: &'static str = "carrier";
        type Gate = Ungated;
        type After = Start;
        type Output = String;
    }
}

fn rehearsed_receipt_outlives_its_run(connector: PostgresConnector) -> Result<(), Error> {
    let rehearsed = RehearsalRunner::new("items")
        .connector(connector)
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            Ok(run.phase(Draft::of(&["a"])).perform(on, sg1, Start)?.into_output())
        })?;
    let _ = rehearsed.value;
    Ok(())
}
