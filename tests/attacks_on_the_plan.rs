//! Ways to bypass the plan that were found, by specs whose value changes, and are closed.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::cell::RefCell;

use phasegate::testing::Calls;
use phasegate::{
    DryRunner, Effects, Execute, Failure, Invalid, PhaseSpec, PhaseTx, Prior, Sg1, Simulate, Start,
    Ungated,
    approval::{ApprovalRequest, Attestation, Authority, Denied},
    error::{ApprovalRefusal, NotCanonical, RefusalReason, RollbackCause},
};
use serde::{Deserialize, Deserializer, Serialize};
use server::{Database, PIPELINE, database, refusal, rollback};

/// Performs any phase, and records the spec that it was given.
struct Shows<'a>(&'a Calls);

macro_rules! shown {
    ($spec:ty) => {
        impl Simulate<$spec> for Shows<'_> {
            fn simulate(
                &mut self,
                _: &$spec,
                _: Prior<'_, $spec>,
                _: &mut Effects,
            ) -> Result<(), Failure> {
                Ok(())
            }
        }

        impl Execute<$spec> for Shows<'_> {
            fn execute(
                &mut self,
                spec: &$spec,
                _: Prior<'_, $spec>,
                _: &mut PhaseTx<'_>,
            ) -> Result<(), Failure> {
                self.0.record(serde_json::to_string(spec)?);
                Ok(())
            }
        }
    };
}

/// Changes itself while it is checked.
#[derive(Serialize, Deserialize)]
struct Sneaky(RefCell<Vec<u32>>);

impl PhaseSpec for Sneaky {
    const NAME: &'static str = "sneaky";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn validate(&self) -> Result<(), Invalid> {
        self.0.borrow_mut().push(666);
        Ok(())
    }
}

shown!(Sneaky);

#[test]
fn what_validation_does_to_a_spec_is_not_performed() {
    let database = database();
    let calls = Calls::new();
    let sneaky = || Sneaky(RefCell::new(vec![1]));
    let plan = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Shows(&calls))
        .run(|run, on| {
            run.phase(sneaky()).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap()
        .plan;
    let _ = database
        .live_by(plan, Shows(&calls))
        .run(|run, on| {
            run.phase(sneaky()).perform(on, Ungated, Start)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(calls.so_far(), ["[1]"]);
}

/// An even number is read back as the odd one after it.
#[derive(Serialize)]
struct Drifting(u64);

impl<'de> Deserialize<'de> for Drifting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|number| Drifting(number | 1))
    }
}

impl PhaseSpec for Drifting {
    const NAME: &'static str = "drifting";
    type Gate = Ungated;
    type After = Start;
    type Output = ();
}

shown!(Drifting);

#[test]
fn an_input_that_is_read_back_as_another_is_refused() {
    let calls = Calls::new();
    let refused = refusal(
        DryRunner::new(PIPELINE)
            .target(server::nowhere())
            .simulator(Shows(&calls))
            .run(|run, on| run.phase(Drifting(2)).perform(on, Ungated, Start).map(drop)),
    );
    assert!(
        matches!(
            refused.reason(),
            RefusalReason::NotCanonical(NotCanonical::Unstable)
        ),
        "{refused}"
    );
}

/// Has an output that drifts in a live run.
#[derive(Serialize, Deserialize)]
struct Drifts;

impl PhaseSpec for Drifts {
    const NAME: &'static str = "drifts";
    type Gate = Ungated;
    type After = Start;
    type Output = Drifting;
}

struct Drifter;

impl Execute<Drifts> for Drifter {
    fn execute(&mut self, _: &Drifts, (): (), _: &mut PhaseTx<'_>) -> Result<Drifting, Failure> {
        Ok(Drifting(2))
    }
}

impl Simulate<Drifts> for Drifter {
    fn simulate(&mut self, _: &Drifts, (): (), _: &mut Effects) -> Result<Drifting, Failure> {
        Ok(Drifting(1))
    }
}

#[test]
fn an_output_that_is_read_back_as_another_is_refused() {
    let database = database();
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Drifter)
        .run(|run, on| run.phase(Drifts).perform(on, Ungated, Start).map(drop));
    let rolled_back = rollback(
        database
            .live_by(dry.unwrap().plan, Drifter)
            .run(|run, on| run.phase(Drifts).perform(on, Ungated, Start).map(drop)),
    );
    assert!(
        matches!(
            rolled_back.cause(),
            RollbackCause::Output(NotCanonical::Unstable)
        ),
        "{rolled_back}"
    );
}

/// A phase whose name depends on a field that is not in its bytes.
#[derive(Serialize, Deserialize)]
struct Region {
    #[serde(skip)]
    name: String,
}

impl PhaseSpec for Region {
    const NAME: &'static str = "close";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

shown!(Region);

#[test]
fn a_name_that_is_not_in_the_bytes_is_refused() {
    let name = "EU".to_owned();
    let refused = refusal(
        DryRunner::new(PIPELINE)
            .target(server::nowhere())
            .simulator(Shows(&Calls::new()))
            .run(|run, on| {
                run.phase(Region { name }).perform(on, Ungated, Start)?;
                Ok(())
            }),
    );
    assert!(
        matches!(refused.reason(), RefusalReason::NameNotPlanned { decoded, .. }
            if refused.phase() == Some("close[EU]") && decoded == "close[]"),
        "{refused}"
    );
}

/// One of several jobs.
#[derive(Serialize, Deserialize)]
struct Job(u32);

impl PhaseSpec for Job {
    const NAME: &'static str = "job";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// Comes after one of them, and is behind a gate.
#[derive(Serialize, Deserialize)]
struct Purge(u32);

impl PhaseSpec for Purge {
    const NAME: &'static str = "purge";
    type Gate = Sg1;
    type After = Job;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

shown!(Job);
shown!(Purge);

/// The plan of two jobs, and of two purges after the first.
fn purging(database: &Database, calls: &Calls) -> phasegate::Plan {
    DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Shows(calls))
        .run(|run, on| {
            let first = run.phase(Job(0)).perform(on, Ungated, Start)?;
            run.phase(Job(1)).perform(on, Ungated, Start)?;
            let sg1 = run.approval::<Sg1>()?;
            run.phase(Purge(0)).perform(on, sg1, &first)?;
            let sg1 = run.approval::<Sg1>()?;
            run.phase(Purge(1)).perform(on, sg1, &first)?;
            Ok(())
        })
        .unwrap()
        .plan
}

#[test]
fn a_receipt_of_another_phase_of_the_same_type_is_refused() {
    let database = database();
    let calls = Calls::new();
    let plan = purging(&database, &calls);
    let refused = refusal(database.live_by(plan, Shows(&calls)).run(|run, on| {
        run.phase(Job(0)).perform(on, Ungated, Start)?;
        let second = run.phase(Job(1)).perform(on, Ungated, Start)?;
        let sg1 = run.approval::<Sg1>()?;
        run.phase(Purge(0)).perform(on, sg1, &second)?;
        Ok(())
    }));
    assert!(
        matches!(refused.reason(), RefusalReason::OrderChanged { planned, presented, .. }
            if planned == &["job[0]"] && presented == &["job[1]"]),
        "{refused}"
    );
    assert_eq!(calls.count("2"), 0);
}

/// Approves the first purge, and nothing else.
struct OnlyTheFirst;

impl Authority for OnlyTheFirst {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        if request.phase() == "purge[0]" {
            phasegate::testing::ApprovesEverything.attest(request)
        } else {
            Err(Denied::new("not this one"))
        }
    }
}

#[test]
fn an_approval_for_one_phase_does_not_open_the_next() {
    let database = database();
    let calls = Calls::new();
    let plan = purging(&database, &calls);
    let live = database
        .live_by(plan, Shows(&calls))
        .authority(OnlyTheFirst);
    let refused = refusal(live.run(|run, on| {
        let first = run.phase(Job(0)).perform(on, Ungated, Start)?;
        run.phase(Job(1)).perform(on, Ungated, Start)?;
        let (one, another) = (run.approval::<Sg1>()?, run.approval::<Sg1>()?);
        run.phase(Purge(0)).perform(on, one, &first)?;
        run.phase(Purge(1)).perform(on, another, &first)?;
        Ok(())
    }));
    assert!(
        matches!(refused.reason(), RefusalReason::Approval { reason: ApprovalRefusal::AnotherPhase { asked, .. }, .. }
            if asked == "purge[0]"),
        "{refused}"
    );
    assert_eq!(calls.so_far(), ["0", "1", "0"]);
}
