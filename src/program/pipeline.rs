//! The parts of a program behind one object, so that the commands are not generic.

use std::time::SystemTime;

use clap::{ArgMatches, Args as _, FromArgMatches as _};

use super::answer::Failed;
use super::error::ProgramError;
use super::parts::{GivesAdapter, GivesInput, GivesLive, GivesRehearsed, Plans};
use super::{Program, exit};
use crate::base::canonical;
use crate::connecting::Endpoint;
use crate::database::{AdmittedApprovals, LeaseSwitch};
use crate::engine::StopHandle;
use crate::observer::Event;
use crate::plan::{Plan, ProgramIdentity, Target};
use crate::typed::{
    DryRunReport, DryRunner, LiveReport, LiveRunner, RehearsalReport, RehearsalRunner,
};

/// What a plan says about its making.
#[derive(Clone)]
pub(super) struct Heading {
    pub(super) author: Option<String>,
    pub(super) last_editor: Option<String>,
    pub(super) valid_until: Option<SystemTime>,
    /// What tells it from another plan of the same change; a rehearsal makes one.
    pub(super) occasion: Option<String>,
}

impl Heading {
    /// The heading of a plan, to make the same again.
    pub(super) fn of(plan: &Plan) -> Self {
        Heading {
            author: plan.author().map(str::to_owned),
            last_editor: plan.last_editor().map(str::to_owned),
            valid_until: plan.valid_until(),
            occasion: plan.occasion().map(str::to_owned),
        }
    }
}

pub(super) type Observe = Box<dyn FnMut(&Event<'_>) + Send>;

/// The pipeline of a program, its types hidden. An input is canonical JSON.
pub(super) trait Pipeline {
    /// Adds the arguments of the input.
    fn arguments(&self, command: clap::Command) -> clap::Command;

    /// Makes the input from the arguments.
    fn input(&self, matches: &ArgMatches) -> Result<Vec<u8>, Failed>;

    /// Whether a dry run makes the plan.
    fn is_simulated(&self) -> bool;

    /// Performs it dry; `None` without a simulator.
    fn dry(
        &self,
        target: Target,
        heading: Heading,
        input: &[u8],
    ) -> Option<Result<DryRunReport<()>, Failed>>;

    /// Rehearses it.
    fn rehearse(
        &self,
        connector: Endpoint,
        heading: Heading,
        input: &[u8],
        stop: &StopHandle,
    ) -> Result<RehearsalReport<()>, Failed>;

    /// Performs it live: with the lease of the database as its kill switch, and the approvals that are admitted there.
    fn live(
        &self,
        plan: Plan,
        connector: Endpoint,
        input: &[u8],
        stop: &StopHandle,
        observe: Observe,
    ) -> Result<LiveReport<()>, Failed>;
}

/// Returns what this program says of itself in plans and in the journal; `None` if its executable cannot be read.
fn this_program() -> Option<ProgramIdentity> {
    ProgramIdentity::of_this_process().ok()
}

fn not_made(what: &'static str) -> impl FnOnce(crate::outcome::BoxError) -> ProgramError {
    move |error| ProgramError::PartNotMade { what, error }
}

impl<I, S, A, D, R, L> Pipeline for Program<I, S, A, D, R, L>
where
    I: GivesInput,
    (S, D): Plans<I::Value>,
    A: GivesAdapter<I::Value>,
    R: GivesRehearsed<I::Value, A::Part>,
    L: GivesLive<I::Value, A::Part>,
{
    fn arguments(&self, command: clap::Command) -> clap::Command {
        I::Arguments::augment_args(command)
    }

    fn input(&self, matches: &ArgMatches) -> Result<Vec<u8>, Failed> {
        let arguments = I::Arguments::from_arg_matches(matches)
            .map_err(|error| Failed::new(exit::USAGE, "usage", &error, None))?;
        let input = self
            .input
            .make(arguments)
            .map_err(ProgramError::InputNotMade)?;
        // Read back, so that what is not in the file is in no run.
        let bytes = canonical::encode(&input)?;
        let _: I::Value = canonical::decode_stable(&bytes)?;
        Ok(bytes)
    }

    fn is_simulated(&self) -> bool {
        <(S, D)>::IS_SIMULATED
    }

    fn dry(
        &self,
        target: Target,
        heading: Heading,
        input: &[u8],
    ) -> Option<Result<DryRunReport<()>, Failed>> {
        let input = match canonical::decode(input) {
            Ok(input) => input,
            Err(error) => return Some(Err(error.into())),
        };
        let mut runner = DryRunner::new(&*self.name).target(target);
        if let Some(author) = heading.author {
            runner = runner.author(author);
        }
        if let Some(editor) = heading.last_editor {
            runner = runner.last_editor(editor);
        }
        if let Some(until) = heading.valid_until {
            runner = runner.valid_until(until);
        }
        if let Some(occasion) = heading.occasion {
            runner = runner.occasion(occasion);
        }
        if let Some(program) = this_program() {
            runner = runner.program(program);
        }
        Some(match self.plans.dry(runner, &input)? {
            Ok(ran) => ran.map_err(Failed::from),
            Err(error) => Err(not_made("simulator")(error).into()),
        })
    }

    fn rehearse(
        &self,
        connector: Endpoint,
        heading: Heading,
        input: &[u8],
        stop: &StopHandle,
    ) -> Result<RehearsalReport<()>, Failed> {
        let input = canonical::decode(input)?;
        let adapter = self.adapter.make(&input).map_err(not_made("adapter"))?;
        let mut runner = RehearsalRunner::new(&*self.name)
            .connector(connector)
            .adapter(adapter)
            .stop_handle(stop);
        if let Some(author) = heading.author {
            runner = runner.author(author);
        }
        if let Some(editor) = heading.last_editor {
            runner = runner.last_editor(editor);
        }
        if let Some(until) = heading.valid_until {
            runner = runner.valid_until(until);
        }
        if let Some(occasion) = heading.occasion {
            runner = runner.occasion(occasion);
        }
        if let Some(program) = this_program() {
            runner = runner.program(program);
        }
        Ok(self.rehearsed.perform(runner, &input)?)
    }

    fn live(
        &self,
        plan: Plan,
        connector: Endpoint,
        input: &[u8],
        stop: &StopHandle,
        observe: Observe,
    ) -> Result<LiveReport<()>, Failed> {
        let input = canonical::decode(input)?;
        let adapter = self.adapter.make(&input).map_err(not_made("adapter"))?;
        let mut runner = LiveRunner::new(&*self.name);
        if let Some(program) = this_program() {
            runner = runner.program(program);
        }
        let runner = runner
            .plan(plan)
            .kill_switch(LeaseSwitch::new(connector.clone()))
            .authority(AdmittedApprovals::through(connector.clone()))
            .connector(connector)
            .adapter(adapter)
            .stop_handle(stop)
            .observer(observe);
        Ok(self.live.perform(runner, &input)?)
    }
}
