//! A pipeline as a complete program: arguments, plan, rehearsal, approvals, live run, evidence.
//!
//! Nothing here weakens a check. A program performs live what its change directory has: the plan, with the input that
//! the plan's digests bind, by approvals that an operator has admitted, while the kill switch of the database is ON. No
//! argument leaves one of these out, and a dry run is another command, not an option.
//!
//! ```no_run
//! use std::process::ExitCode;
//! # use phasegate::prelude::*;
//! # use serde::{Deserialize, Serialize};
//! # impl PhaseSpec for CloseAccounts {
//! #     const NAME: &'static str = "close_accounts";
//! #     type Gate = Sg1; type After = Start; type Output = u64;
//! # }
//! # struct Predict;
//! # impl Simulate<CloseAccounts> for Predict {
//! #     fn simulate(&mut self, _: &CloseAccounts, _: (), _: &mut Effects) -> Result<u64, Failure> { Ok(0) }
//! # }
//! # struct Bank;
//! # impl Execute<CloseAccounts> for Bank {
//! #     fn execute(&mut self, _: &CloseAccounts, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(0) }
//! # }
//! # fn pipeline<'run, M: Mode, W: Perform<M, CloseAccounts>>(
//! #     run: &mut Run<'run, M, W>, on: &Switch<'run, M>, given: &CloseAccounts,
//! # ) -> Result<u64, Error> {
//! #     let sg1 = run.approval::<Sg1>()?;
//! #     Ok(run.phase(given.clone()).perform(on, sg1, Start)?.into_output())
//! # }
//!
//! #[derive(Clone, Serialize, Deserialize, clap::Args)]
//! struct CloseAccounts {
//!     /// The numbers of the accounts to close
//!     #[arg(required = true)]
//!     numbers: Vec<String>,
//! }
//!
//! fn main() -> ExitCode {
//!     phasegate::program("closing")
//!         .input(|given: CloseAccounts| Ok(given))
//!         .simulator(|_| Ok(Predict))
//!         .adapter(|_| Ok(Bank))
//!         .dry(pipeline)
//!         .rehearsed(pipeline)
//!         .live(pipeline)
//!         .main()
//! }
//! ```

mod answer;
mod args;
mod change;
mod commands;
mod connect;
mod error;
pub mod exit;
mod io;
mod parts;
mod pipeline;
mod signals;
mod standalone;

use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::outcome::{BoxError, Error};
use crate::typed::{DryRun, Live, Rehearsal, Run, Switch};

pub use error::ProgramError;
pub use io::{CapturedIo, Io};
pub use parts::{
    Dry, GivesAdapter, GivesInput, GivesLive, GivesRehearsed, GivesSimulator, Input, Missing, Part,
    Performed, Plans, Rehearsed, WithoutAdapter, WithoutDry, WithoutInput, WithoutLive,
    WithoutRehearsed, WithoutSimulator,
};
pub use standalone::{Standalone, standalone};

/// Returns a program of the pipeline of this name, without any of its parts.
pub fn program(name: impl Into<String>) -> Program {
    Program {
        name: name.into(),
        input: WithoutInput,
        plans: (WithoutSimulator, WithoutDry),
        adapter: WithoutAdapter,
        rehearsed: WithoutRehearsed,
        live: WithoutLive,
    }
}

/// A pipeline as a complete program; see the [module](self).
///
/// It has five parts: an input, an adapter, and the pipeline's function for dry runs, for rehearsals and for live
/// runs. Without one of them, [`main`](Program::main) does not compile. The simulator is optional: without it, and
/// without [`dry`](Program::dry), a rehearsal makes the plan.
#[must_use = "a program does nothing until `main`"]
pub struct Program<
    I = WithoutInput,
    S = WithoutSimulator,
    A = WithoutAdapter,
    D = WithoutDry,
    R = WithoutRehearsed,
    L = WithoutLive,
> {
    name: String,
    input: I,
    plans: (S, D),
    adapter: A,
    rehearsed: R,
    live: L,
}

impl<I, S, A, D, R, L> Program<I, S, A, D, R, L> {
    /// Gives the program its input: what the arguments of `plan` mean. Files may be read here, and only here: what
    /// `input` returns is saved in the change directory, and every later command reads it from there.
    pub fn input<G, V>(
        self,
        input: impl Fn(G) -> Result<V, BoxError> + 'static,
    ) -> Program<Input<G, V>, S, A, D, R, L>
    where
        I: Missing,
        G: clap::Args,
        V: Serialize + DeserializeOwned + 'static,
    {
        Program {
            name: self.name,
            input: Input(Box::new(input)),
            plans: self.plans,
            adapter: self.adapter,
            rehearsed: self.rehearsed,
            live: self.live,
        }
    }

    /// Gives the program what simulates its phases: [`Simulate<S>`](crate::Simulate) for each phase `S`.
    pub fn simulator<T, V: 'static>(
        self,
        simulator: impl Fn(&T) -> Result<V, BoxError> + 'static,
    ) -> Program<I, Part<T, V>, A, D, R, L>
    where
        I: GivesInput<Value = T>,
        S: Missing,
    {
        Program {
            name: self.name,
            input: self.input,
            plans: (Part(Box::new(simulator)), self.plans.1),
            adapter: self.adapter,
            rehearsed: self.rehearsed,
            live: self.live,
        }
    }

    /// Gives the program what performs its phases: [`Execute<S>`](crate::Execute) for each phase `S`. A new one is
    /// made for each run and each rehearsal.
    pub fn adapter<T, V: 'static>(
        self,
        adapter: impl Fn(&T) -> Result<V, BoxError> + 'static,
    ) -> Program<I, S, Part<T, V>, D, R, L>
    where
        I: GivesInput<Value = T>,
        A: Missing,
    {
        Program {
            name: self.name,
            input: self.input,
            plans: self.plans,
            adapter: Part(Box::new(adapter)),
            rehearsed: self.rehearsed,
            live: self.live,
        }
    }

    /// Gives the program the function that a dry run performs, with the simulator.
    pub fn dry<T, P, V, F>(self, pipeline: F) -> Program<I, S, A, Dry<T, P>, R, L>
    where
        I: GivesInput<Value = T>,
        S: GivesSimulator<T, Part = P>,
        D: Missing,
        F: for<'run> Fn(&mut Run<'run, DryRun, P>, &Switch<'run, DryRun>, &T) -> Result<V, Error>
            + 'static,
    {
        let dry = Dry(Box::new(
            move |runner: parts::ReadyDryRunner<P>, input: &T| {
                runner.run(|run, on| pipeline(run, on, input).map(drop))
            },
        ));
        Program {
            name: self.name,
            input: self.input,
            plans: (self.plans.0, dry),
            adapter: self.adapter,
            rehearsed: self.rehearsed,
            live: self.live,
        }
    }

    /// Gives the program the function that a rehearsal performs, with the adapter, and rolls back.
    pub fn rehearsed<T, P, V, F>(self, pipeline: F) -> Program<I, S, A, D, Rehearsed<T, P>, L>
    where
        I: GivesInput<Value = T>,
        A: GivesAdapter<T, Part = P>,
        R: Missing,
        F: for<'run> Fn(
                &mut Run<'run, Rehearsal, P>,
                &Switch<'run, Rehearsal>,
                &T,
            ) -> Result<V, Error>
            + 'static,
    {
        let rehearsed = Rehearsed(Box::new(
            move |runner: parts::ReadyRehearsal<P>, input: &T| {
                runner.run(|run, on| pipeline(run, on, input).map(drop))
            },
        ));
        Program {
            name: self.name,
            input: self.input,
            plans: self.plans,
            adapter: self.adapter,
            rehearsed,
            live: self.live,
        }
    }

    /// Gives the program the function that a live run performs, with the adapter.
    pub fn live<T, P, V, F>(self, pipeline: F) -> Program<I, S, A, D, R, Performed<T, P>>
    where
        I: GivesInput<Value = T>,
        A: GivesAdapter<T, Part = P>,
        L: Missing,
        F: for<'run> Fn(&mut Run<'run, Live, P>, &Switch<'run, Live>, &T) -> Result<V, Error>
            + 'static,
    {
        let live = Performed(Box::new(move |runner: parts::ReadyLive<P>, input: &T| {
            runner.run(|run, on| pipeline(run, on, input).map(drop))
        }));
        Program {
            name: self.name,
            input: self.input,
            plans: self.plans,
            adapter: self.adapter,
            rehearsed: self.rehearsed,
            live,
        }
    }

    /// Runs the command that the arguments of the process name, and returns its [exit code](exit). The first SIGINT,
    /// SIGTERM or SIGHUP stops a run in order; a later one says what the run waits for, and one more within two seconds
    /// ends the program at once.
    pub fn main(self) -> ExitCode
    where
        I: GivesInput,
        (S, D): Plans<I::Value>,
        A: GivesAdapter<I::Value>,
        R: GivesRehearsed<I::Value, A::Part>,
        L: GivesLive<I::Value, A::Part>,
    {
        commands::main(&self.name, Some(&self))
    }

    /// Runs the command that `args` name, as [`main`](Program::main) does, without a process and without a terminal:
    /// for tests. The first argument is the name of the program.
    pub fn run<T: Into<OsString> + Clone>(
        &self,
        args: impl IntoIterator<Item = T>,
        io: &dyn Io,
    ) -> u8
    where
        I: GivesInput,
        (S, D): Plans<I::Value>,
        A: GivesAdapter<I::Value>,
        R: GivesRehearsed<I::Value, A::Part>,
        L: GivesLive<I::Value, A::Part>,
    {
        let args = args.into_iter().map(Into::into).collect();
        commands::run(&self.name, Some(self), args, io)
    }

    /// Returns the definition of the command line, for a program that has more commands, below which this is one.
    /// [`matches`](Program::matches) runs what was parsed.
    #[must_use]
    pub fn command(&self) -> clap::Command
    where
        I: GivesInput,
        (S, D): Plans<I::Value>,
        A: GivesAdapter<I::Value>,
        R: GivesRehearsed<I::Value, A::Part>,
        L: GivesLive<I::Value, A::Part>,
    {
        args::command(&self.name, Some(self))
    }

    /// Runs the command that was parsed by [`command`](Program::command), with the streams and signals of the process.
    pub fn matches(self, matches: &clap::ArgMatches) -> ExitCode
    where
        I: GivesInput,
        (S, D): Plans<I::Value>,
        A: GivesAdapter<I::Value>,
        R: GivesRehearsed<I::Value, A::Part>,
        L: GivesLive<I::Value, A::Part>,
    {
        commands::matches(&self.name, Some(&self), matches)
    }
}

impl<I, S, A, D, R, L> fmt::Debug for Program<I, S, A, D, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.name)
    }
}
