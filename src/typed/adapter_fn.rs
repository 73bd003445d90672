//! Adapters and simulators made of closures, for pipelines of one phase and for tests.

use std::fmt;
use std::marker::PhantomData;

use super::adapter::{Execute, Simulate};
use super::spec::{PhaseSpec, Prior};
use crate::database::PhaseTx;
use crate::outcome::Failure;
use crate::plan::Effects;

/// Makes a live adapter of phase `S` from a closure.
///
/// A pipeline of several phases has one adapter for all of them: a type that implements [`Execute`] for each.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Greet { whom: String }
/// # impl PhaseSpec for Greet {
/// #     const NAME: &'static str = "greet"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// let adapter = adapter_fn(|greet: &Greet, (), tx: &mut PhaseTx<'_>| {
///     Ok(tx.execute("INSERT INTO letter (whom) VALUES ($1)", &[&greet.whom])?)
/// });
/// let runner = LiveRunner::new("greetings").adapter(adapter);
/// ```
pub fn adapter_fn<S, F>(execute: F) -> AdapterFn<S, F>
where
    S: PhaseSpec,
    F: FnMut(&S, Prior<'_, S>, &mut PhaseTx<'_>) -> Result<S::Output, Failure>,
{
    AdapterFn {
        phase: PhantomData,
        execute,
    }
}

/// Makes a simulator of phase `S` from a closure.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Greet { whom: String }
/// # impl PhaseSpec for Greet {
/// #     const NAME: &'static str = "greet"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// let simulator = simulator_fn(|_: &Greet, (), effects: &mut Effects| {
///     effects.insert("public.letter", 1);
///     Ok(1)
/// });
/// # let runner =
/// DryRunner::new("greetings").simulator(simulator);
/// ```
pub fn simulator_fn<S, F>(simulate: F) -> SimulatorFn<S, F>
where
    S: PhaseSpec,
    F: FnMut(&S, Prior<'_, S>, &mut Effects) -> Result<S::Output, Failure>,
{
    SimulatorFn {
        phase: PhantomData,
        simulate,
    }
}

/// The live adapter that [`adapter_fn`] makes.
pub struct AdapterFn<S, F> {
    phase: PhantomData<fn(&S)>,
    execute: F,
}

/// The simulator that [`simulator_fn`] makes.
pub struct SimulatorFn<S, F> {
    phase: PhantomData<fn(&S)>,
    simulate: F,
}

impl<S, F> Execute<S> for AdapterFn<S, F>
where
    S: PhaseSpec,
    F: FnMut(&S, Prior<'_, S>, &mut PhaseTx<'_>) -> Result<S::Output, Failure>,
{
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        (self.execute)(spec, prior, tx)
    }
}

impl<S, F> Simulate<S> for SimulatorFn<S, F>
where
    S: PhaseSpec,
    F: FnMut(&S, Prior<'_, S>, &mut Effects) -> Result<S::Output, Failure>,
{
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        (self.simulate)(spec, prior, effects)
    }
}

impl<S: PhaseSpec, F> fmt::Debug for AdapterFn<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdapterFn({})", S::NAME)
    }
}

impl<S: PhaseSpec, F> fmt::Debug for SimulatorFn<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatorFn({})", S::NAME)
    }
}
