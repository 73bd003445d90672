//! The kill switch: off by default, and nothing live happens while it is off.

mod pipeline;
mod server;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScriptedSwitch, TripwireAdapter, TripwireAuthority,
    TripwireConnector,
};
use phasegate::{
    DryRunner, Error, LiveRunner, Receipt,
    approval::Authority,
    connect::Connector,
    error::{ApprovalRefusal, Refusal, RefusalReason, Rollback, RollbackCause},
    switch::{FileSwitch, InProcessSwitch, KillSwitch, SwitchState, WhichSwitch},
};

use pipeline::{Draft, Simulator, pipeline};
use server::{
    PIPELINE, all, database, does, drafting, drafting_plan, nowhere, plan_for, refusal, rollback,
};

const NAMES: [&str; 4] = ["draft", "check", "enact", "publish"];
const STATES: [&str; 4] = ["draft", "draft", "enacted", "published"];

/// A live run that panics if it calls anything but the kill switch.
fn refused_by(switch: impl KillSwitch) -> Refusal {
    let plan = plan_for(&nowhere(), &Draft::of(&["a"]));
    let refused = refusal(
        LiveRunner::new(PIPELINE)
            .plan(plan)
            .kill_switch(switch)
            .authority(TripwireAuthority)
            .connector(TripwireConnector)
            .adapter(TripwireAdapter)
            .run(|_, _| -> Result<(), Error> { panic!("the pipeline was entered") }),
    );
    assert_eq!(refused.phase(), None);
    refused
}

#[test]
fn execution_is_off_by_default() {
    assert_eq!(SwitchState::default(), SwitchState::Off);
    let nothing: &[InProcessSwitch] = &[];
    let empty: Vec<Box<dyn KillSwitch>> = vec![
        Box::new(InProcessSwitch::new()),
        Box::new(ScriptedSwitch::new([])),
        Box::new(nothing),
    ];
    for switch in empty {
        assert_eq!(switch.read().unwrap(), SwitchState::Off);
        let refusal = refused_by(switch);
        assert!(
            matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
            "{refusal}"
        );
    }
}

#[test]
fn a_live_run_with_the_switch_off_is_refused_before_other_calls() {
    let switch = ScriptedSwitch::on_for(0);
    let refusal = refused_by(&switch);
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
        "{refusal}"
    );
    assert!(
        refusal
            .hint()
            .is_some_and(|hint| hint.contains("ON means that execution is allowed")),
        "{refusal}"
    );
    assert_eq!(switch.readings(), 1);
}

#[test]
fn one_switch_of_several_that_is_off_refuses() {
    let (on, off) = (ScriptedSwitch::always_on(), ScriptedSwitch::on_for(0));
    for both in [(&on, &off), (&off, &on)] {
        let refusal = refused_by(both);
        assert!(
            matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
            "{refusal}"
        );
    }
}

#[test]
fn a_switch_that_cannot_be_read_counts_as_off() {
    let refusal = refused_by(ScriptedSwitch::unreadable_after(0));
    let unreadable = matches!(refusal.reason(), RefusalReason::SwitchUnreadable(_));
    assert!(unreadable, "{refusal}");
}

#[test]
fn a_switch_in_a_file_refuses_unless_the_file_says_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("switch");
    let refusal = refused_by(FileSwitch::new(&path));
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
        "absent: {refusal}"
    );
    fs::write(&path, "OFF\n").unwrap();
    let refusal = refused_by(FileSwitch::new(&path));
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
        "off: {refusal}"
    );
    fs::write(&path, "yes").unwrap();
    let refusal = refused_by(FileSwitch::new(&path));
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchUnreadable(_)),
        "odd: {refusal}"
    );
    let refusal = refused_by(FileSwitch::new(directory.path()));
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchUnreadable(_)),
        "directory: {refusal}"
    );
}

#[test]
fn a_live_run_stops_when_the_file_of_its_switch_is_removed() {
    let database = database();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("switch");
    fs::write(&path, "ON\n").unwrap();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let remove = does(|_, tx| {
        tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
        fs::remove_file(&path)?;
        Ok(1)
    });
    let answer = database
        .live_by(plan, remove)
        .kill_switch(FileSwitch::new(&path))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let rollback = rollback(answer);
    assert!(
        matches!(
            rollback.cause(),
            RollbackCause::SwitchOff(off) if off.which() == WhichSwitch::OfTheRun && off.reason() == Some("there is no such file")
        ),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_dry_run_ignores_the_switch_and_calls_only_the_simulator() {
    let calls = Calls::new();
    let plan = |calls: &Calls| {
        DryRunner::new(PIPELINE)
            .target(nowhere())
            .simulator(Recorder::new(Simulator, calls))
            .run(|run, on| pipeline(run, on, Draft::of(&["a"])))
            .unwrap()
            .plan
    };
    let switch = InProcessSwitch::new();
    let off = plan(&calls);
    assert_eq!(calls.so_far(), NAMES.map(|name| format!("simulate {name}")));
    assert_eq!(switch.on_while(|| plan(&calls)), off);
}

#[test]
fn a_live_run_reads_the_switch_before_each_phase_and_commit() {
    let database = database();
    let draft = Draft::of(&["a", "b"]);
    let switch = ScriptedSwitch::always_on();
    let answer = database
        .live(database.plan(&draft))
        .kill_switch(&switch)
        .run(|run, on| pipeline(run, on, draft));
    assert_eq!(answer.unwrap().value, 2);
    assert_eq!(switch.readings(), 1 + 2 * NAMES.len());
    assert_eq!(database.items(), all(&["a", "b"], "published"));
    database.is_left_clean();
}

#[test]
fn a_switch_that_turns_off_refuses_the_next_phase() {
    for (phase, name) in NAMES.iter().enumerate() {
        let database = database();
        let calls = Calls::new();
        let draft = Draft::of(&["a"]);
        let answer = database
            .live_by(
                database.plan(&draft),
                Recorder::new(pipeline::Adapter, &calls),
            )
            .connector(Recorder::new(database.connector(), &calls))
            .kill_switch(ScriptedSwitch::on_for(1 + 2 * phase))
            .run(|run, on| pipeline(run, on, draft));
        let refusal = refusal(answer);
        assert!(
            matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
            "{refusal}"
        );
        assert_eq!(refusal.phase(), Some(*name));
        assert_eq!(calls.count("connect"), phase.min(1));
        assert_eq!(calls.count("execute"), phase);
        let before = phase
            .checked_sub(1)
            .map(|before| all(&["a"], STATES[before]));
        assert_eq!(database.items(), before.unwrap_or_default());
    }
}

/// The rollback of phase `phase` (from 0) under a switch that `script` makes of the number of its
/// readings that are ON; the table must be as it was before that phase.
fn stopped_in(phase: usize, script: impl Fn(usize) -> ScriptedSwitch) -> Rollback {
    let database = database();
    let calls = Calls::new();
    let draft = Draft::of(&["a"]);
    let answer = database
        .live_by(
            database.plan(&draft),
            Recorder::new(pipeline::Adapter, &calls),
        )
        .kill_switch(script(2 + 2 * phase))
        .run(|run, on| pipeline(run, on, draft));
    let rollback = rollback(answer);
    assert_eq!(rollback.phase(), NAMES[phase]);
    assert_eq!(
        calls.count("execute"),
        phase + 1,
        "the adapter had done its work"
    );
    let before = phase
        .checked_sub(1)
        .map(|before| all(&["a"], STATES[before]));
    assert_eq!(database.items(), before.unwrap_or_default());
    assert_eq!(database.locks(), 0);
    database.is_left_clean();
    rollback
}

#[test]
fn a_switch_that_turns_off_in_a_phase_rolls_it_back() {
    for phase in 0..NAMES.len() {
        let rollback = stopped_in(phase, ScriptedSwitch::on_for);
        assert!(
            matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
            "{rollback}"
        );
    }
}

#[test]
fn a_switch_that_becomes_unreadable_in_a_phase_rolls_it_back() {
    let rollback = stopped_in(0, ScriptedSwitch::unreadable_after);
    let unreadable = matches!(rollback.cause(), RollbackCause::SwitchUnreadable(_));
    assert!(unreadable, "{rollback}");
    assert!(
        rollback.to_string().contains("the script says so"),
        "{rollback}"
    );
}

/// Implements the traits without their methods.
struct NotInjected;
impl KillSwitch for NotInjected {}
impl Authority for NotInjected {}
impl Connector for NotInjected {}

#[test]
fn a_kill_switch_that_was_not_injected_refuses() {
    let refusal = refused_by(NotInjected);
    assert!(
        matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
        "{refusal}"
    );
}

#[test]
fn an_authority_that_was_not_injected_refuses() {
    let draft = Draft::of(&["a"]);
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan_for(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(NotInjected)
        .connector(TripwireConnector)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, draft));
    let refusal = refusal(answer);
    let RefusalReason::Approval { gate, reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(gate, "SG_1");
    assert!(matches!(reason, ApprovalRefusal::Denied(_)), "{reason}");
}

#[test]
fn a_connector_that_was_not_injected_refuses() {
    let draft = Draft::of(&["a"]);
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan_for(&nowhere(), &draft))
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(NotInjected)
        .adapter(TripwireAdapter)
        .run(|run, on| pipeline(run, on, draft));
    let refusal = refusal(answer);
    assert!(
        matches!(refusal.reason(), RefusalReason::NotConnected(_)),
        "{refusal}"
    );
    assert_eq!(refusal.phase(), Some("draft"));
}

#[test]
fn the_switch_in_this_process_is_on_only_in_its_scope() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let switch = InProcessSwitch::new();
    let live = || {
        database
            .live(drafting_plan(&database.target, &draft))
            .kill_switch(switch.clone())
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    assert!(matches!(
        refusal(live()).reason(),
        RefusalReason::SwitchOff { .. }
    ));
    assert_eq!(switch.on_while(live).unwrap().value, 1);
    assert!(!switch.is_on());
    assert!(matches!(
        refusal(live()).reason(),
        RefusalReason::SwitchOff { .. }
    ));
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn the_switch_in_this_process_is_off_after_the_adapter_panicked() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let switch = InProcessSwitch::new();
    let live = || {
        let plan = drafting_plan(&database.target, &draft);
        let adapter = does(|_, _| {
            assert!(switch.is_on());
            panic!("in the middle of the phase")
        });
        database
            .live_by(plan, adapter)
            .kill_switch(&switch)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    let panicked = catch_unwind(AssertUnwindSafe(|| switch.on_while(live)));
    assert!(panicked.is_err());
    assert!(!switch.is_on());
}

#[test]
fn a_stop_in_the_middle_of_a_phase_holds_for_the_whole_scope() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let switch = InProcessSwitch::new();
    let button = switch.clone();
    let press = does(|_, tx| {
        tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
        button.off();
        Ok(1)
    });
    let plan = drafting_plan(&database.target, &draft);
    let again = plan.clone();
    switch.on_while(|| {
        let answer = database
            .live_by(plan, press)
            .kill_switch(&switch)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let rollback = rollback(answer);
        assert!(
            matches!(rollback.cause(), RollbackCause::SwitchOff(_)),
            "{rollback}"
        );
        let answer = database
            .live(again)
            .kill_switch(&switch)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        assert!(matches!(
            refusal(answer).reason(),
            RefusalReason::SwitchOff { .. }
        ));
    });
    assert_eq!(database.items(), []);
}

#[test]
fn a_run_is_refused_in_an_async_runtime_but_not_in_its_threads() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    database.admit(&plan);
    let run = || {
        LiveRunner::new(PIPELINE)
            .plan(plan.clone())
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(database.connector())
            .adapter(pipeline::Adapter)
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let refused = refusal(runtime.block_on(async { run() }));
    assert!(
        matches!(refused.reason(), RefusalReason::NotConnected(_)),
        "{refused}"
    );
    assert!(
        refused.hint().unwrap().contains("spawn_blocking"),
        "{refused}"
    );
    assert_eq!(database.items(), []);
    // A thread of a pool of a runtime, as spawn_blocking has it.
    let _guard = runtime.enter();
    assert_eq!(run().unwrap().performed, 1);
}
