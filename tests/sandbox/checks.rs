//! The checks, each once. `backend` makes a new server.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::testing::{
    Calls, Canned, Recorder, ScriptedSwitch, TestAuthority, TestClock, TestSwitch, TripwireAdapter,
    TripwireAuthority, TripwireConnector, TripwireSimulator, dry,
};
use phasegate::{
    DryRun, DryRunner, Error, Execute, Live, LiveRunner, Perform, Plan, Sg1, Sg2, Simulate,
    approval::Authority,
    connect::Connector,
    error::{ApprovalRefusal, Refusal, RefusalReason, Rollback},
    runner::NoAdapter,
    switch::{InProcessSwitch, KillSwitch, SwitchState},
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::backend::Backend;
use crate::phases::{
    Adapter, CutLegA, CutLegB, EnactVerify, LifecycleEnact, NAMES, PIPELINE, PerformsAll,
    Simulator, Unit, WriteVerify, pipeline,
};

fn units(titles: &[&str]) -> Vec<Unit> {
    let unit = |title: &&str| ((*title).to_owned(), format!("the body of {title}"));
    titles.iter().map(unit).collect()
}

fn three() -> Vec<Unit> {
    units(&["a", "b", "c"])
}

fn all(titles: &[&str], state: &str) -> Vec<(String, String)> {
    titles
        .iter()
        .map(|title| ((*title).to_owned(), state.to_owned()))
        .collect()
}

/// An authority that approves both gates.
fn approving() -> TestAuthority {
    let authority = TestAuthority::new(&TestClock::stopped_now());
    authority.approve::<Sg1>();
    authority.approve::<Sg2>();
    authority
}

fn planned_by<W: PerformsAll<DryRun>>(
    backend: &impl Backend,
    simulator: W,
    units: &[Unit],
) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(backend.target())
        .simulator(simulator);
    let plan = dry
        .run(|run, on| pipeline(run, on, units))
        .expect("a dry run")
        .plan;
    backend.admit(&plan);
    plan
}

fn planned(backend: &impl Backend, units: &[Unit]) -> Plan {
    planned_by(backend, Simulator, units)
}

/// A live run of everything, with what the check is about in the place of the doubles.
fn live<W: PerformsAll<Live>>(
    backend: &impl Backend,
    units: &[Unit],
    switch: impl KillSwitch,
    authority: impl Authority,
    adapter: W,
) -> Result<u64, Error> {
    LiveRunner::new(PIPELINE)
        .plan(planned(backend, units))
        .kill_switch(switch)
        .authority(authority)
        .connector(backend.connector())
        .adapter(adapter)
        .run(|run, on| pipeline(run, on, units))
        .map(phasegate::runner::LiveReport::into_value)
}

/// A run that panics if it calls anything but the switch, and with it the refusal.
fn refused_by(backend: &impl Backend, switch: impl KillSwitch) -> Refusal {
    let units = three();
    refusal(
        LiveRunner::new(PIPELINE)
            .plan(planned(backend, &units))
            .kill_switch(switch)
            .authority(TripwireAuthority)
            .connector(TripwireConnector)
            .adapter(TripwireAdapter)
            .run(|_, _| -> Result<(), Error> { panic!("the pipeline was entered") }),
    )
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn rollback<T: std::fmt::Debug>(result: Result<T, Error>) -> Rollback {
    match result {
        Err(Error::RolledBack(rollback)) => rollback,
        other => panic!("not rolled back: {other:?}"),
    }
}

fn is_off(refusal: &Refusal) -> bool {
    matches!(refusal.reason(), RefusalReason::SwitchOff { .. })
}

// Enforcement.

pub fn c01_execution_is_off_by_default<B: Backend>(backend: &impl Fn() -> B) {
    assert_eq!(SwitchState::default(), SwitchState::Off);
    assert!(is_off(&refused_by(&backend(), InProcessSwitch::new())));
    assert!(is_off(&refused_by(&backend(), ScriptedSwitch::new([]))));
}

pub fn c02_live_is_refused_with_the_switch_off<B: Backend>(backend: &impl Fn() -> B) {
    let switch = TestSwitch::off();
    assert!(is_off(&refused_by(&backend(), switch.clone())));
    assert_eq!(switch.readings(), 1);
}

pub fn c03_a_dry_run_is_untouched_by_the_switch<B: Backend>(backend: &impl Fn() -> B) {
    let (server, switch) = (backend(), InProcessSwitch::new());
    let off = planned(&server, &three());
    assert_eq!(switch.on_while(|| planned(&server, &three())), off);
}

pub fn c04_live_passes_with_the_switch_on<B: Backend>(backend: &impl Fn() -> B) {
    let (server, switch) = (backend(), TestSwitch::on());
    let value = live(&server, &three(), switch.clone(), approving(), Adapter);
    assert_eq!(value.unwrap(), 3);
    assert_eq!(switch.readings(), 1 + 2 * NAMES.len());
}

pub fn c05_nothing_that_is_not_an_adapter_is_accepted<B: Backend>(_: &impl Fn() -> B) {
    assert_not_impl_any!(Simulator: Execute<CutLegA>, Perform<Live, CutLegA>);
    assert_not_impl_any!(u64: Execute<CutLegA>, Perform<Live, CutLegA>);
}

pub fn c06_an_adapter_is_accepted<B: Backend>(_: &impl Fn() -> B) {
    assert_impl_all!(Adapter: Execute<CutLegA>, PerformsAll<Live>);
    assert_impl_all!(Recorder<Adapter>: PerformsAll<Live>);
}

// Live goes to the adapter.

/// A simulator that must not be called, and the adapter.
struct Both(TripwireSimulator, Adapter);

macro_rules! both {
    ($($spec:ty),+) => {$(
        impl Simulate<$spec> for Both {
            fn simulate(
                &mut self,
                spec: &$spec,
                prior: phasegate::Prior<'_, $spec>,
                effects: &mut phasegate::Effects,
            ) -> Result<u64, phasegate::Failure> {
                self.0.simulate(spec, prior, effects)
            }
        }

        impl Execute<$spec> for Both {
            fn execute(
                &mut self,
                spec: &$spec,
                prior: phasegate::Prior<'_, $spec>,
                tx: &mut phasegate::PhaseTx<'_>,
            ) -> Result<u64, phasegate::Failure> {
                self.1.execute(spec, prior, tx)
            }
        }
    )+};
}

both!(CutLegA, WriteVerify, CutLegB, LifecycleEnact, EnactVerify);

fn live_goes_to_the_adapter(backend: &impl Backend, place: usize) {
    let calls = Calls::new();
    let both = Recorder::new(Both(TripwireSimulator, Adapter), &calls);
    live(backend, &three(), TestSwitch::on(), approving(), both).unwrap();
    assert_eq!(calls.so_far()[place], format!("execute {}", NAMES[place]));
    assert_eq!(calls.count("simulate"), 0);
}

pub fn c07_live_cut_leg_a_goes_to_its_adapter<B: Backend>(backend: &impl Fn() -> B) {
    live_goes_to_the_adapter(&backend(), 0);
}

pub fn c08_live_write_verify_goes_to_its_adapter<B: Backend>(backend: &impl Fn() -> B) {
    live_goes_to_the_adapter(&backend(), 1);
}

pub fn c09_live_cut_leg_b_goes_to_its_adapter<B: Backend>(backend: &impl Fn() -> B) {
    live_goes_to_the_adapter(&backend(), 2);
}

pub fn c10_live_lifecycle_enact_goes_to_its_adapter<B: Backend>(backend: &impl Fn() -> B) {
    live_goes_to_the_adapter(&backend(), 3);
}

pub fn c11_live_enact_verify_goes_to_its_adapter<B: Backend>(backend: &impl Fn() -> B) {
    live_goes_to_the_adapter(&backend(), 4);
}

/// Canned results of all phases but one.
fn all_but(place: usize) -> Canned {
    let canned = Canned::new();
    let canned = if place == 0 {
        canned
    } else {
        canned.returns::<CutLegA>(&3)
    };
    let canned = if place == 1 {
        canned
    } else {
        canned.returns::<WriteVerify>(&3)
    };
    let canned = if place == 2 {
        canned
    } else {
        canned.returns::<CutLegB>(&3)
    };
    let canned = if place == 3 {
        canned
    } else {
        canned.returns::<LifecycleEnact>(&3)
    };
    if place == 4 {
        canned
    } else {
        canned.returns::<EnactVerify>(&3)
    }
}

pub fn c12_a_live_phase_without_an_adapter_fails_closed<B: Backend>(backend: &impl Fn() -> B) {
    assert_not_impl_any!(NoAdapter: Perform<Live, CutLegA>, Perform<Live, EnactVerify>);
    let (server, units) = (backend(), three());
    let plan = planned_by(&server, all_but(NAMES.len()), &units);
    for (place, name) in NAMES.iter().enumerate() {
        let result = LiveRunner::new(PIPELINE)
            .plan(&plan)
            .kill_switch(TestSwitch::on())
            .authority(approving())
            .connector(server.connector())
            .adapter(all_but(place))
            .run(|run, on| pipeline(run, on, &units));
        let rollback = rollback(result);
        assert_eq!(rollback.phase(), *name);
        assert!(
            rollback.to_string().contains("no result for phase"),
            "{rollback}"
        );
    }
}

// Switch off.

pub fn c13_with_the_switch_off_all_five_phases_are_refused<B: Backend>(backend: &impl Fn() -> B) {
    for (place, name) in NAMES.iter().enumerate() {
        let (server, calls) = (backend(), Calls::new());
        let adapter = Recorder::new(Adapter, &calls);
        let switch = ScriptedSwitch::on_for(1 + 2 * place);
        let refusal = refusal(live(&server, &three(), switch, approving(), adapter));
        assert!(is_off(&refusal), "{refusal}");
        assert_eq!(refusal.phase(), Some(*name));
        assert_eq!(calls.count(&format!("execute {name}")), 0);
        assert_eq!(calls.so_far().len(), place);
    }
}

// The dry run is unchanged.

fn dry_goes_to_the_simulator(places: &[usize]) {
    let calls = Calls::new();
    let dry = dry(Recorder::new(Simulator, &calls), |run, on| {
        pipeline(run, on, &three())
    });
    assert_eq!(dry.unwrap().names(), NAMES);
    for &place in places {
        assert_eq!(calls.so_far()[place], format!("simulate {}", NAMES[place]));
    }
    assert_eq!(calls.count("execute"), 0);
}

pub fn c14_dry_cut_leg_a_goes_to_its_simulator<B: Backend>(_: &impl Fn() -> B) {
    dry_goes_to_the_simulator(&[0]);
}

pub fn c15_dry_write_verify_goes_to_its_simulator<B: Backend>(_: &impl Fn() -> B) {
    dry_goes_to_the_simulator(&[1, 2]);
}

pub fn c16_dry_lifecycle_enact_goes_to_its_simulator<B: Backend>(_: &impl Fn() -> B) {
    dry_goes_to_the_simulator(&[3, 4]);
}

// Transactions.

/// The places of the messages that fit.
fn places(messages: &[String], fits: impl Fn(&str) -> bool) -> Vec<usize> {
    let all = messages.iter().enumerate();
    all.filter(|(_, text)| fits(text))
        .map(|(place, _)| place)
        .collect()
}

/// The commits of phases. The reset of a session between two phases is a transaction too.
fn commits(messages: &[String]) -> Vec<usize> {
    let mut commits = places(messages, |text| text == "COMMIT");
    commits.retain(|&place| messages[place - 1].starts_with("SELECT phasegate.finish("));
    commits
}

fn rollbacks(messages: &[String]) -> usize {
    places(messages, |text| text.starts_with("ROLLBACK")).len()
}

pub fn c17_three_creates_are_committed_and_not_rolled_back<B: Backend>(backend: &impl Fn() -> B) {
    let server = backend();
    let switch = ScriptedSwitch::on_for(3);
    let refused = refusal(live(&server, &three(), switch, approving(), Adapter));
    assert_eq!(
        refused.phase(),
        Some(NAMES[1]),
        "the first phase was performed"
    );
    assert_eq!(server.units(), all(&["a", "b", "c"], "draft"));
    let messages = server.messages();
    let begin = places(&messages, |text| text.starts_with("BEGIN"));
    let commit = commits(&messages);
    let inserts = places(&messages, |text| text.contains("INSERT INTO unit"));
    assert_eq!((begin.len(), commit.len()), (1, 1), "{messages:?}");
    assert!(
        begin[0] < inserts[0] && inserts[0] < commit[0],
        "{messages:?}"
    );
    assert_eq!(rollbacks(&messages), 0);
}

pub fn c18_a_failure_at_row_2_names_the_row_and_leaves_nothing<B: Backend>(
    backend: &impl Fn() -> B,
) {
    let server = backend();
    let units = units(&["a", "secret", "c"]);
    let rollback = rollback(live(
        &server,
        &units,
        TestSwitch::on(),
        approving(),
        Adapter,
    ));
    let (failure, row) = (rollback.failure().unwrap(), rollback.row().unwrap());
    assert_eq!((row.ordinal(), row.key()), (2, "secret"));
    assert_eq!(
        failure.sqlstate().map(postgres::error::SqlState::code),
        Some("23514")
    );
    assert_eq!(failure.constraint(), Some("no_secrets"));
    assert_eq!(server.units(), []);
    let messages = server.messages();
    assert_eq!(messages.last().map(String::as_str), Some("ROLLBACK"));
    assert_eq!(commits(&messages), [0; 0]);
}

pub fn c19_rows_without_title_or_body_are_refused_unconnected<B: Backend>(
    backend: &impl Fn() -> B,
) {
    let server = backend();
    let plan = planned(&server, &three());
    for (title, body) in [("", "body"), ("b", "")] {
        let mut units = three();
        units[1] = (title.to_owned(), body.to_owned());
        let result = LiveRunner::new(PIPELINE)
            .plan(&plan)
            .kill_switch(TestSwitch::on())
            .authority(approving())
            .connector(TripwireConnector)
            .adapter(TripwireAdapter)
            .run(|run, on| pipeline(run, on, &units));
        let refusal = refusal(result);
        assert_eq!(
            refusal.row().map(phasegate::error::InputRow::ordinal),
            Some(2)
        );
    }
}

pub fn c20_three_enacts_are_committed_and_surveyed<B: Backend>(backend: &impl Fn() -> B) {
    let server = backend();
    let surveyed = live(&server, &three(), TestSwitch::on(), approving(), Adapter);
    assert_eq!(surveyed.unwrap(), 3);
    assert_eq!(server.units(), all(&["a", "b", "c"], "enacted"));
    let messages = server.messages();
    assert_eq!(commits(&messages).len(), NAMES.len());
    assert_eq!(rollbacks(&messages), 0);
}

pub fn c21_a_failure_at_unit_2_of_enacting_rolls_back<B: Backend>(backend: &impl Fn() -> B) {
    let server = backend();
    let units = units(&["a", "cursed", "d"]);
    let rollback = rollback(live(
        &server,
        &units,
        TestSwitch::on(),
        approving(),
        Adapter,
    ));
    assert_eq!(rollback.phase(), "lifecycle_enact");
    assert_eq!(
        rollback.row().map(phasegate::error::InputRow::ordinal),
        Some(2)
    );
    assert_eq!(server.units(), all(&["a", "cursed", "d"], "draft"));
    assert_eq!(
        server.messages().last().map(String::as_str),
        Some("ROLLBACK")
    );
}

pub fn c22_with_the_switch_off_the_connector_is_not_reached<B: Backend>(backend: &impl Fn() -> B) {
    let (server, calls, units) = (backend(), Calls::new(), three());
    let result = LiveRunner::new(PIPELINE)
        .plan(planned(&server, &units))
        .kill_switch(TestSwitch::off())
        .authority(approving())
        .connector(Recorder::new(server.connector(), &calls))
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, &units));
    assert!(is_off(&refusal(result)));
    assert_eq!(calls.so_far(), [""; 0]);
}

/// Implements the traits without their methods.
#[derive(Clone, Copy)]
struct NotInjected;
impl KillSwitch for NotInjected {}
impl Authority for NotInjected {}
impl Connector for NotInjected {}

pub fn c23_collaborators_that_were_not_injected_refuse<B: Backend>(backend: &impl Fn() -> B) {
    let (server, units) = (backend(), three());
    assert!(is_off(&refused_by(&server, NotInjected)));
    let unauthorized = refusal(live(
        &server,
        &units,
        TestSwitch::on(),
        NotInjected,
        TripwireAdapter,
    ));
    assert!(matches!(
        unauthorized.reason(),
        RefusalReason::Approval {
            reason: ApprovalRefusal::Denied(_),
            ..
        }
    ));
    let result = LiveRunner::new(PIPELINE)
        .plan(planned(&server, &units))
        .kill_switch(TestSwitch::on())
        .authority(approving())
        .connector(NotInjected)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, &units));
    assert!(matches!(
        refusal(result).reason(),
        RefusalReason::NotConnected(_)
    ));
}

// Approvals.

pub fn c24_live_cut_leg_a_needs_sg_1<B: Backend>(backend: &impl Fn() -> B) {
    let authority = approving();
    authority.deny::<Sg1>();
    let server = backend();
    let switch = TestSwitch::on();
    let refusal = refusal(live(
        &server,
        &three(),
        switch,
        authority.clone(),
        TripwireAdapter,
    ));
    assert_eq!(refusal.phase(), Some("cut_leg_a"));
    assert_eq!(authority.asked(), ["SG_1 for cut_leg_a"]);
    assert_eq!(server.units(), []);
}

pub fn c25_live_lifecycle_enact_needs_sg_2<B: Backend>(backend: &impl Fn() -> B) {
    let (authority, calls) = (approving(), Calls::new());
    authority.deny::<Sg2>();
    let adapter = Recorder::new(Adapter, &calls);
    let server = backend();
    let refusal = refusal(live(
        &server,
        &three(),
        TestSwitch::on(),
        authority,
        adapter,
    ));
    assert_eq!(refusal.phase(), Some("lifecycle_enact"));
    assert_eq!(
        calls.so_far(),
        [
            "execute cut_leg_a",
            "execute write_verify",
            "execute cut_leg_b"
        ]
    );
    assert_eq!(server.units(), all(&["a", "b", "c"], "draft"));
}

// The runner.

pub fn c26_the_runner_refuses_live_with_the_switch_off<B: Backend>(backend: &impl Fn() -> B) {
    let (server, switch) = (backend(), TestSwitch::on());
    switch.break_it("the disk is gone");
    let refusal = refused_by(&server, switch);
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchUnreadable(_)),
        "{refusal}"
    );
    assert!(is_off(&refused_by(&server, TestSwitch::off())));
}

pub fn c27_the_runner_needs_an_adapter<B: Backend>(_: &impl Fn() -> B) {
    assert_not_impl_any!(NoAdapter: PerformsAll<Live>);
    assert_not_impl_any!(Simulator: PerformsAll<Live>);
}

pub fn c28_the_in_process_switch_is_on_only_for_its_scope<B: Backend>(backend: &impl Fn() -> B) {
    let (server, switch) = (backend(), InProcessSwitch::new());
    let run = || live(&server, &three(), switch.clone(), approving(), Adapter);
    assert!(is_off(&refusal(run())));
    assert_eq!(switch.on_while(run).unwrap(), 3);
    assert!(is_off(&refusal(run())));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        switch.on_while(|| panic!("in the scope"))
    }));
    assert!(panicked.is_err() && !switch.is_on());
    let early = || -> Option<u8> { switch.on_while(|| None) };
    assert_eq!(early(), None);
    assert!(!switch.is_on());
    switch.on_while(|| mem::forget(switch.clone()));
    assert!(!switch.is_on());
}
