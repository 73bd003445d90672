//! What a phase can come after: all phases of a type, one that not every run has, up to eight of several types.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, Mode, Perform, PhaseSpec, PhaseTx, Plan, Receipt,
    Run, Simulate, Start, Switch, Ungated, error::RefusalReason,
};
use serde::{Deserialize, Serialize};
use server::{Database, PIPELINE, database, refusal};

#[derive(Debug, Serialize, Deserialize)]
struct Batch(u64);

impl PhaseSpec for Batch {
    const NAME: &'static str = "batch";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// After all batches.
#[derive(Debug, Serialize, Deserialize)]
struct Total;

impl PhaseSpec for Total {
    const NAME: &'static str = "total";
    type Gate = Ungated;
    type After = Vec<Batch>;
    type Output = u64;
}

/// After the total, if there is one.
#[derive(Debug, Serialize, Deserialize)]
struct Report;

impl PhaseSpec for Report {
    const NAME: &'static str = "report";
    type Gate = Ungated;
    type After = Option<Total>;
    type Output = Option<u64>;
}

/// After eight.
#[derive(Debug, Serialize, Deserialize)]
struct Close;

impl PhaseSpec for Close {
    const NAME: &'static str = "close";
    type Gate = Ungated;
    type After = (Batch, Batch, Batch, Total, Report, Total, Batch, Report);
    type Output = u64;
}

struct Sums;

macro_rules! performs {
    ($role:ident, $method:ident, $with:ty) => {
        impl $role<Batch> for Sums {
            fn $method(&mut self, batch: &Batch, (): (), _: &mut $with) -> Result<u64, Failure> {
                Ok(batch.0)
            }
        }

        impl $role<Total> for Sums {
            fn $method(
                &mut self,
                _: &Total,
                batches: &[u64],
                _: &mut $with,
            ) -> Result<u64, Failure> {
                Ok(batches.iter().sum())
            }
        }

        impl $role<Report> for Sums {
            fn $method(
                &mut self,
                _: &Report,
                total: Option<&u64>,
                _: &mut $with,
            ) -> Result<Option<u64>, Failure> {
                Ok(total.copied())
            }
        }

        impl $role<Close> for Sums {
            fn $method(
                &mut self,
                _: &Close,
                (a, b, c, d, e, f, g, h): (
                    &u64,
                    &u64,
                    &u64,
                    &u64,
                    &Option<u64>,
                    &u64,
                    &u64,
                    &Option<u64>,
                ),
                _: &mut $with,
            ) -> Result<u64, Failure> {
                Ok(a + b + c + d + e.unwrap_or_default() + f + g + h.unwrap_or_default())
            }
        }
    };
}

performs!(Simulate, simulate, Effects);
performs!(Execute, execute, PhaseTx<'_>);

/// Performs `batches`, and shows the receipts of `shown` of them to the total.
fn summing<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    batches: u64,
    shown: usize,
) -> Result<(u64, Option<u64>), Error>
where
    W: Perform<M, Batch> + Perform<M, Total> + Perform<M, Report>,
{
    let batch = |number| run.phase(Batch(number)).perform(on, Ungated, Start);
    let receipts = (1..=batches).map(batch).collect::<Result<Vec<_>, _>>()?;
    let total = if batches == 0 {
        None
    } else {
        Some(run.phase(Total).perform(on, Ungated, &receipts[..shown])?)
    };
    let report = run.phase(Report).perform(on, Ungated, total.as_ref())?;
    Ok((
        total.map(Receipt::into_output).unwrap_or_default(),
        report.into_output(),
    ))
}

fn planned(database: &Database, batches: u64, shown: usize) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Sums)
        .run(|run, on| summing(run, on, batches, shown));
    dry.unwrap().plan
}

#[test]
fn a_phase_after_all_batches_is_given_what_each_of_them_left() {
    let database = database();
    let plan = planned(&database, 3, 3);
    assert_eq!(
        plan.phases()[3].after(),
        ["batch[1]", "batch[2]", "batch[3]"]
    );
    assert_eq!(plan.phases()[4].after(), ["total"]);
    for performed in [5, 0] {
        let ran = database
            .live_by(plan.clone(), Sums)
            .run(|run, on| summing(run, on, 3, 3))
            .unwrap();
        assert_eq!((ran.value, ran.performed), ((6, Some(6)), performed));
    }
}

#[test]
fn a_batch_whose_receipt_is_left_out_is_missed() {
    let database = database();
    let answer = database
        .live_by(planned(&database, 3, 3), Sums)
        .run(|run, on| summing(run, on, 3, 2));
    let refused = refusal(answer);
    let RefusalReason::OrderChanged {
        planned, presented, ..
    } = refused.reason()
    else {
        panic!("{refused}");
    };
    assert_eq!(planned.len(), 3);
    assert_eq!(presented, &["batch[1]", "batch[2]"]);
}

#[test]
fn an_optional_phase_may_be_missing_if_the_plan_lacks_it() {
    let database = database();
    let plan = planned(&database, 0, 0);
    assert!(plan.phases()[0].after().is_empty());
    let ran = database
        .live_by(plan, Sums)
        .run(|run, on| summing(run, on, 0, 0));
    assert_eq!(ran.unwrap().value, (0, None));
    // And not where the plan has it.
    let with_total = planned(&database, 1, 1);
    let answer = database.live_by(with_total, Sums).run(|run, on| {
        let batch = run.phase(Batch(1)).perform(on, Ungated, Start)?;
        let _total = run.phase(Total).perform(on, Ungated, &[batch][..])?;
        let report = run.phase(Report).perform(on, Ungated, None)?;
        Ok(report.into_output())
    });
    assert!(matches!(
        refusal(answer).reason(),
        RefusalReason::OrderChanged { .. }
    ));
}

#[test]
fn a_phase_can_come_after_eight() {
    let dry = DryRunner::new(PIPELINE)
        .target(server::nowhere())
        .simulator(Sums)
        .run(|run, on| {
            let one = run.phase(Batch(1)).perform(on, Ungated, Start)?;
            let two = run.phase(Batch(2)).perform(on, Ungated, Start)?;
            let one = [one];
            let total = run.phase(Total).perform(on, Ungated, &one[..])?;
            let report = run.phase(Report).perform(on, Ungated, Some(&total))?;
            let [one] = &one;
            let all = (one, &two, one, &total, &report, &total, &two, &report);
            Ok(run.phase(Close).perform(on, Ungated, all)?.into_output())
        })
        .unwrap();
    assert_eq!(dry.value, 1 + 2 + 1 + 1 + 1 + 1 + 2 + 1);
    assert_eq!(dry.plan.phases()[4].after().len(), 8);
}
