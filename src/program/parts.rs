//! The parts of a program, given or missing: what it does not compile without.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connecting::Endpoint;
use crate::database::{AdmittedApprovals, LeaseSwitch};
use crate::outcome::{BoxError, Error};
use crate::plan::Target;
use crate::typed::{
    DryRunReport, DryRunner, Given, LiveReport, ReadyRunner, RehearsalReport, RehearsalRunner,
};

pub(super) type Made<T> = Result<T, BoxError>;
pub(super) type ReadyDryRunner<S> = DryRunner<Given<Target>, Given<S>>;
pub(super) type ReadyRehearsal<A> = RehearsalRunner<Given<Endpoint>, Given<A>>;
pub(super) type ReadyLive<A> = ReadyRunner<LeaseSwitch<Endpoint>, AdmittedApprovals, Endpoint, A>;

/// Implemented by the placeholder of a missing part: the setter of the part requires it.
#[diagnostic::on_unimplemented(
    message = "this program was given this part already",
    label = "remove one of the two calls: the second would silently replace the first"
)]
pub trait Missing {}

/// Defines the placeholder of a missing part.
macro_rules! missing {
    ($($(#[$about:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Missing for $name {}
    )+};
}

missing! {
    /// Where the input is still to be given: [`Program::input`](super::Program::input).
    WithoutInput,
    /// Where no simulator is given: [`Program::simulator`](super::Program::simulator).
    WithoutSimulator,
    /// Where the adapter is still to be given: [`Program::adapter`](super::Program::adapter).
    WithoutAdapter,
    /// Where no function for dry runs is given: [`Program::dry`](super::Program::dry).
    WithoutDry,
    /// Where the function for rehearsals is still to be given: [`Program::rehearsed`](super::Program::rehearsed).
    WithoutRehearsed,
    /// Where the function for live runs is still to be given: [`Program::live`](super::Program::live).
    WithoutLive,
}

/// Defines what holds a part that was given.
macro_rules! given {
    ($($(#[$about:meta])* $name:ident<$($of:ident),+>($held:ty)),+ $(,)?) => {$(
        $(#[$about])*
        pub struct $name<$($of),+>(pub(super) $held);

        impl<$($of),+> fmt::Debug for $name<$($of),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

given! {
    /// The input of a program, made from its arguments.
    Input<G, I>(Box<dyn Fn(G) -> Made<I>>),
    /// The simulator or the adapter of a program, made from its input.
    Part<I, P>(Box<dyn Fn(&I) -> Made<P>>),
    /// The function that a program performs dry.
    Dry<I, S>(Box<dyn Fn(ReadyDryRunner<S>, &I) -> Result<DryRunReport<()>, Error>>),
    /// The function that a program rehearses.
    Rehearsed<I, A>(Box<dyn Fn(ReadyRehearsal<A>, &I) -> Result<RehearsalReport<()>, Error>>),
    /// The function that a program performs live.
    Performed<I, A>(Box<dyn Fn(ReadyLive<A>, &I) -> Result<LiveReport<()>, Error>>),
}

/// Implemented where the input was given.
#[diagnostic::on_unimplemented(
    message = "this program has no input",
    label = "give it one first: `.input(|arguments: Arguments| Ok(..))`",
    note = "`Arguments` derives `clap::Args`; what the function returns is saved in the change directory, and is what each run performs"
)]
pub trait GivesInput {
    /// The arguments of the commands that make a plan.
    type Arguments: clap::Args;
    /// The input of the pipeline.
    type Value: Serialize + DeserializeOwned + 'static;

    #[doc(hidden)]
    fn make(&self, arguments: Self::Arguments) -> Made<Self::Value>;
}

#[diagnostic::do_not_recommend]
impl<G: clap::Args, I: Serialize + DeserializeOwned + 'static> GivesInput for Input<G, I> {
    type Arguments = G;
    type Value = I;

    fn make(&self, arguments: G) -> Made<I> {
        self.0(arguments)
    }
}

/// Implemented where the simulator was given.
#[diagnostic::on_unimplemented(
    message = "this program has no simulator",
    label = "give it one before `.dry(pipeline)`: `.simulator(|input| Ok(..))`",
    note = "without a simulator, leave out `.dry(pipeline)` too: then a rehearsal makes the plan"
)]
pub trait GivesSimulator<I> {
    /// What simulates the phases.
    type Part: 'static;

    #[doc(hidden)]
    fn make(&self, input: &I) -> Made<Self::Part>;
}

#[diagnostic::do_not_recommend]
impl<I, S: 'static> GivesSimulator<I> for Part<I, S> {
    type Part = S;

    fn make(&self, input: &I) -> Made<S> {
        self.0(input)
    }
}

/// Implemented where the adapter was given.
#[diagnostic::on_unimplemented(
    message = "this program has no adapter",
    label = "give it one before `.rehearsed(pipeline)` and `.live(pipeline)`: `.adapter(|input| Ok(..))`",
    note = "a live adapter implements `Execute<S>` for every phase `S` of the pipeline"
)]
pub trait GivesAdapter<I> {
    /// What performs the phases.
    type Part: 'static;

    #[doc(hidden)]
    fn make(&self, input: &I) -> Made<Self::Part>;
}

#[diagnostic::do_not_recommend]
impl<I, A: 'static> GivesAdapter<I> for Part<I, A> {
    type Part = A;

    fn make(&self, input: &I) -> Made<A> {
        self.0(input)
    }
}

/// Implemented where simulator and function for dry runs are both given, and where neither is.
#[diagnostic::on_unimplemented(
    message = "this program has a simulator, and no function that it performs dry",
    label = "give it one before this: `.dry(pipeline)`",
    note = "`pipeline` is the function that `.rehearsed(pipeline)` and `.live(pipeline)` are given too"
)]
pub trait Plans<I> {
    #[doc(hidden)]
    const IS_SIMULATED: bool;

    /// Performs the pipeline dry; `None` without a simulator.
    #[doc(hidden)]
    fn dry(
        &self,
        runner: DryRunner<Given<Target>>,
        input: &I,
    ) -> Option<Made<Result<DryRunReport<()>, Error>>>;
}

#[diagnostic::do_not_recommend]
impl<I> Plans<I> for (WithoutSimulator, WithoutDry) {
    const IS_SIMULATED: bool = false;

    fn dry(
        &self,
        _: DryRunner<Given<Target>>,
        _: &I,
    ) -> Option<Made<Result<DryRunReport<()>, Error>>> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<I, S: 'static> Plans<I> for (Part<I, S>, Dry<I, S>) {
    const IS_SIMULATED: bool = true;

    fn dry(
        &self,
        runner: DryRunner<Given<Target>>,
        input: &I,
    ) -> Option<Made<Result<DryRunReport<()>, Error>>> {
        let (simulator, dry) = self;
        Some(simulator.0(input).map(|simulator| dry.0(runner.simulator(simulator), input)))
    }
}

/// Implemented where the function for rehearsals was given.
#[diagnostic::on_unimplemented(
    message = "this program has no function that it rehearses",
    label = "give it one before this: `.rehearsed(pipeline)`"
)]
pub trait GivesRehearsed<I, A> {
    #[doc(hidden)]
    fn perform(&self, runner: ReadyRehearsal<A>, input: &I) -> Result<RehearsalReport<()>, Error>;
}

#[diagnostic::do_not_recommend]
impl<I, A> GivesRehearsed<I, A> for Rehearsed<I, A> {
    fn perform(&self, runner: ReadyRehearsal<A>, input: &I) -> Result<RehearsalReport<()>, Error> {
        self.0(runner, input)
    }
}

/// Implemented where the function for live runs was given.
#[diagnostic::on_unimplemented(
    message = "this program has no function that it performs live",
    label = "give it one before this: `.live(pipeline)`"
)]
pub trait GivesLive<I, A> {
    #[doc(hidden)]
    fn perform(&self, runner: ReadyLive<A>, input: &I) -> Result<LiveReport<()>, Error>;
}

#[diagnostic::do_not_recommend]
impl<I, A> GivesLive<I, A> for Performed<I, A> {
    fn perform(&self, runner: ReadyLive<A>, input: &I) -> Result<LiveReport<()>, Error> {
        self.0(runner, input)
    }
}
