//! What it costs to make a plan of a phase whose input holds all its rows.

use std::time::{Duration, Instant};

use phasegate::{
    DryRunner, Effects, Error, Failure, Mode, Perform, PhaseSpec, Run, Sg1, Simulate, Start,
    Switch, Target,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::work::{Call, Charter, Outcome};

#[derive(Serialize, Deserialize)]
struct Whole {
    units: Vec<Unit>,
}

#[derive(Serialize, Deserialize, Clone)]
struct Unit {
    document: String,
    address: String,
    title: String,
    body: String,
    digest: String,
}

impl PhaseSpec for Whole {
    const NAME: &'static str = "whole";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

struct Counts;

impl Simulate<Whole> for Counts {
    fn simulate(&mut self, whole: &Whole, (): (), _: &mut Effects) -> Result<u64, Failure> {
        Ok(whole.units.len() as u64)
    }
}

/// A dry run: the input as canonical JSON, read back from it, and its SHA-256.
pub fn digest(charter: &Charter, n: u64) -> Outcome<Duration> {
    let units = charter.inputs(Call::Create, n).map(|input| {
        let value: Value = serde_json::to_value(input)?;
        serde_json::from_value(value)
    });
    let whole = Whole {
        units: units.collect::<Result<_, _>>()?,
    };
    let begun = Instant::now();
    let planned = DryRunner::new("digesting")
        .target(Target::new("0", "nowhere", "nobody"))
        .simulator(Counts)
        .run(|run, on| pipeline(run, on, whole))?;
    let took = begun.elapsed();
    assert_eq!(planned.plan.phases().len(), 1);
    Ok(took)
}

fn pipeline<'run, M: Mode, W: Perform<M, Whole>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    whole: Whole,
) -> Result<(), Error> {
    let sg1 = run.approval()?;
    run.phase(whole).perform(on, sg1, Start)?;
    Ok(())
}
