//! What the types cannot stop. Each hole is a test that shows it, and passes: so that it is known,
//! and so that a change is noticed, for the better or the worse.

#![allow(clippy::unwrap_used)]

mod pipeline;

use phasegate::testing::{ApprovesEverything, Calls, ScriptedSwitch, TripwireConnector};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, KillSwitchOn, LiveRunner, Plan, Simulate, Start,
    Target, Ungated, connect::Connector, error::RefusalReason,
};
use pipeline::{Adapter, Draft, Simulator, pipeline as items};
use serde::{Deserialize, Serialize};

fn target() -> Target {
    Target::new("1", "items", "runner")
}

fn plan() -> Plan {
    DryRunner::new("items")
        .target(target())
        .simulator(Simulator)
        .run(|run, on| items(run, on, Draft::of(&["a"])))
        .unwrap()
        .plan
}

/// A token forged in safe code, by way of rust-lang/rust#25860: a reference is made to live longer
/// than what it points to, and is read after that has become something else.
mod forged {
    fn longer<'a, 'b, T: ?Sized>(_: &'a &'b (), short: &'b mut T) -> &'a mut T {
        short
    }

    fn for_ever<'short, 'long, T: ?Sized>(short: &'short mut T) -> &'long mut T {
        let longer: for<'x> fn(&'static &'static (), &'x mut T) -> &'long mut T = longer;
        longer(&&(), short)
    }

    /// Any value out of any other.
    pub(super) fn out_of<A, B>(given: A) -> Option<B> {
        enum Either<A, B> {
            Given(Option<Box<A>>),
            Forged(Option<Box<B>>),
        }
        let mut either = Either::Forged(None);
        let Either::Forged(forged) = &mut either else {
            return None;
        };
        let forged = for_ever(forged);
        either = Either::Given(Some(Box::new(given)));
        std::hint::black_box(&mut either);
        let forged = forged.take().map(|forged| *forged);
        if let Either::Given(given) = either {
            std::mem::forget(given);
        }
        forged
    }
}

#[test]
fn safe_code_can_forge_any_token_by_a_bug_of_the_compiler() {
    let forged: Option<KillSwitchOn<'static>> = forged::out_of([0_u64; 0]);
    assert_eq!(format!("{forged:?}"), "Some(Switch(..))");
}

/// Two phases that differ in nothing but their type: one name, one form.
#[derive(Serialize, Deserialize)]
struct Gentle;

#[derive(Serialize, Deserialize)]
struct Harsh;

macro_rules! phase_called_sweep {
    ($($phase:ident),+) => {$(
        impl phasegate::PhaseSpec for $phase {
            const NAME: &'static str = "sweep";
            type Gate = Ungated;
            type After = Start;
            type Output = ();
        }

        impl Simulate<$phase> for Calls {
            fn simulate(&mut self, _: &$phase, (): (), _: &mut Effects) -> Result<(), Failure> {
                self.record(stringify!($phase));
                Ok(())
            }
        }
    )+};
}

phase_called_sweep!(Gentle, Harsh);

#[test]
fn two_specs_of_one_name_and_equal_bytes_are_one_phase() {
    let plan_of = |harsh: bool| {
        DryRunner::new("sweeping")
            .target(target())
            .simulator(Calls::new())
            .run(move |run, on| {
                if harsh {
                    run.phase(Harsh).perform(on, Ungated, Start)?;
                } else {
                    run.phase(Gentle).perform(on, Ungated, Start)?;
                }
                Ok(())
            })
            .unwrap()
            .plan
    };
    assert_eq!(plan_of(true).digest(), plan_of(false).digest());
}

#[test]
fn two_specs_of_one_name_cannot_be_in_one_run() {
    let refused = DryRunner::new("sweeping")
        .target(target())
        .simulator(Calls::new())
        .run(|run, on| {
            run.phase(Gentle).perform(on, Ungated, Start)?;
            run.phase(Harsh).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap_err();
    assert!(
        matches!(refused.reason(), Some(RefusalReason::DuplicatePhase)),
        "{refused}"
    );
}

#[test]
fn a_simulator_can_start_a_live_run_of_its_own() {
    struct Treacherous<'a>(&'a mut bool);

    impl Simulate<Gentle> for Treacherous<'_> {
        fn simulate(&mut self, _: &Gentle, (): (), _: &mut Effects) -> Result<(), Failure> {
            LiveRunner::new("items")
                .plan(plan())
                .kill_switch(ScriptedSwitch::always_on())
                .authority(ApprovesEverything)
                .connector(TripwireConnector)
                .adapter(Adapter)
                .run(|_, _| {
                    *self.0 = true;
                    Ok(())
                })
                .ok();
            Ok(())
        }
    }

    let mut went_live = false;
    DryRunner::new("sweeping")
        .target(target())
        .simulator(Treacherous(&mut went_live))
        .run(|run, on| {
            run.phase(Gentle).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap();
    assert!(went_live);
}

#[test]
fn a_failure_that_the_pipeline_drops_is_known_only_at_the_end() {
    struct Unreachable;
    impl Connector for Unreachable {}

    let mut went_on = false;
    let error = LiveRunner::new("items")
        .plan(plan())
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(Unreachable)
        .adapter(Adapter)
        .run(|run, on| {
            let sg1 = run.approval()?;
            drop(run.phase(Draft::of(&["a"])).perform(on, sg1, Start));
            went_on = true;
            Ok(())
        })
        .unwrap_err();
    assert!(went_on);
    let Error::Incomplete(incomplete) = error else {
        panic!("{error}");
    };
    assert!(incomplete.performed().is_empty());
    assert_eq!(incomplete.missing(), ["draft", "check", "enact", "publish"]);
}

#[test]
fn an_adapter_is_not_kept_from_a_connection_of_its_own() {
    struct Own(postgres::Config);

    impl Execute<Gentle> for Own {
        fn execute(
            &mut self,
            _: &Gentle,
            (): (),
            _: &mut phasegate::PhaseTx<'_>,
        ) -> Result<(), Failure> {
            // Outside the transaction, and nothing here can know.
            self.0.connect(postgres::NoTls)?.batch_execute("SELECT 1")?;
            Ok(())
        }
    }

    fn performs<W: phasegate::Perform<phasegate::Live, Gentle>>(_: W) {}
    performs(Own(postgres::Config::new()));
}

#[test]
fn what_a_spec_takes_from_its_surroundings_is_not_in_its_digest() {
    use std::sync::atomic::{AtomicU32, Ordering};

    static AMBIENT: AtomicU32 = AtomicU32::new(3);

    fn ambient() -> u32 {
        AMBIENT.load(Ordering::SeqCst)
    }

    #[derive(Serialize, Deserialize)]
    struct Sweep {
        #[serde(skip, default = "ambient")]
        rows: u32,
    }

    impl phasegate::PhaseSpec for Sweep {
        const NAME: &'static str = "sweep";
        type Gate = Ungated;
        type After = Start;
        type Output = u32;
    }

    impl Simulate<Sweep> for Calls {
        fn simulate(&mut self, sweep: &Sweep, (): (), _: &mut Effects) -> Result<u32, Failure> {
            Ok(sweep.rows)
        }
    }

    let sweep = || {
        DryRunner::new("sweeping")
            .target(target())
            .simulator(Calls::new())
            .run(|run, on| {
                let sweep = Sweep { rows: 3 };
                Ok(run.phase(sweep).perform(on, Ungated, Start)?.into_output())
            })
            .unwrap()
    };
    let approved = sweep();
    AMBIENT.store(3000, Ordering::SeqCst);
    let performed = sweep();
    assert_eq!(approved.plan.digest(), performed.plan.digest());
    assert_eq!((approved.value, performed.value), (3, 3000));
}

#[test]
fn a_simulator_can_drive_a_live_run_that_it_was_lent() {
    struct Inner<'a, 'b, 'run>(
        &'a mut phasegate::Run<'run, phasegate::Live, Adapter>,
        &'b KillSwitchOn<'run>,
    );

    impl Simulate<Gentle> for Inner<'_, '_, '_> {
        fn simulate(&mut self, _: &Gentle, (): (), _: &mut Effects) -> Result<(), Failure> {
            let sg1 = self.0.approval()?;
            drop(self.0.phase(Draft::of(&["a"])).perform(self.1, sg1, Start));
            Ok(())
        }
    }

    struct Unreachable<'a>(&'a mut bool);
    impl Connector for Unreachable<'_> {
        fn connect(
            &mut self,
        ) -> Result<phasegate::connect::Connection, phasegate::connect::ConnectError> {
            *self.0 = true;
            Err(phasegate::connect::ConnectError::new("as far as it got"))
        }
    }

    let mut connected = false;
    let _ = LiveRunner::new("items")
        .plan(plan())
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(Unreachable(&mut connected))
        .adapter(Adapter)
        .run(|run, on| {
            DryRunner::new("sweeping")
                .target(target())
                .simulator(Inner(run, on))
                .run(|dry, no| {
                    dry.phase(Gentle).perform(no, Ungated, Start)?;
                    Ok(())
                })
        });
    assert!(connected);
}
