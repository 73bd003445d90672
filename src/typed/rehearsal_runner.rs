//! The runner of rehearsals.

use std::fmt;
use std::time::SystemTime;

use super::brand::Brand;
use super::mode::Rehearsal;
use super::parts::{Given, HasAdapter, HasConnector, NoAdapter, NoConnector, NotGiven};
use super::report::RehearsalReport;
use super::run::Run;
use super::switch::Switch;
use crate::database::Connector;
use crate::engine::{RehearsalEngine, StopHandle, Timeouts};
use crate::observer::{Event, Observer, observed_by};
use crate::outcome::{Error, Refusal, RefusalReason};
use crate::plan::{EffectsSource, Heading, Plan};

/// Rehearses a pipeline: the real adapter, in a real transaction, on the real data; measures what it
/// does; rolls everything back; and leaves a [`Plan`](crate::Plan) with the effects that were measured.
///
/// The whole run is one transaction, in one session, so that each phase sees what those before it
/// wrote. Each phase is in a savepoint: one that fails names its row and leaves nothing, and the
/// pipeline may go on. At the end of a phase the deferred constraints are checked, as the close of a
/// live phase would. When the run ends, however it ends, all of it is rolled back; and in the
/// database the interlock refuses the commit of a rehearsal, whatever statement asks for
/// it, while the guard lets it write as it lets a phase.
///
/// It needs neither plan nor approval nor kill switch, since nothing of it remains. The role is the
/// one that will perform the phases live; the database has the schema `phasegate`. An operator who
/// turns the database's switch OFF ends the rehearsals in progress too.
///
/// Since it needs no approval, a runner may block others at any time, which its privileges on the
/// tables allow it anyway. Where that is not wanted: `REVOKE EXECUTE ON FUNCTION
/// phasegate.open_rehearsal FROM phasegate_runner`.
///
/// It has two parts and no default for either: without one of them,
/// [`run`](RehearsalRunner::run) does not compile.
///
/// ```no_run
/// # use phasegate::{*, connect::PostgresConnector};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// # struct Writes;
/// # impl Execute<Cut> for Writes {
/// #     fn execute(&mut self, _: &Cut, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(1) }
/// # }
/// # fn example(config: postgres::Config) -> Result<(), Error> {
/// let rehearsed = RehearsalRunner::new("cut")
///     .connector(PostgresConnector::no_tls(config))
///     .adapter(Writes)
///     .run(|run, on| {
///         let sg1 = run.approval()?;
///         Ok(run.phase(Cut).perform(on, sg1, Start)?.into_output())
///     })?;
/// println!("{rehearsed}");
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0277
/// # use phasegate::{*, connect::PostgresConnector};
/// # fn example(config: postgres::Config) {
/// // No adapter: nothing performs the phases.
/// let _ = RehearsalRunner::new("cut")
///     .connector(PostgresConnector::no_tls(config))
///     .run(|_, _| Ok(()));
/// # }
/// ```
///
/// # What it cannot undo
///
/// - Sequences that were moved stay moved ([`RehearsedPhase::sequences`](crate::runner::RehearsedPhase)).
/// - The locks are real: others wait for them until the run ends
///   ([`RehearsedPhase::locks`](crate::runner::RehearsedPhase), and locks on single rows, which no view shows). Give it
///   a short [`Timeouts::lock`], and a database that others do not need at the moment.
/// - Whatever leaves the database: another connection (`dblink`), a file, a program, a mail. What
///   waits for the commit, like `NOTIFY`, does not leave it.
/// - The server's own work: dead rows, WAL, counters of the statistics.
///
/// # Where it differs from a live run
///
/// - It is one transaction: `now()` stands still from phase to phase, no other session sees what the
///   phases before have written, and an advisory lock of the transaction is held to its end. Settings, cursors,
///   session locks and the role are put back after each phase, since live each has a session of its own.
/// - A phase is tried once: there are no retries.
/// - `TRUNCATE` and DDL are refused as they are live.
/// - After a phase, each deferred constraint returns to the mode in which it was declared. One whose name is ambiguous
///   in its schema, or whose schema the role may not use, is checked at the end of each phase.
#[must_use = "a runner does nothing until `run`"]
pub struct RehearsalRunner<C = NoConnector, W = NoAdapter> {
    parts: (C, W),
    settings: Settings,
}

/// What a runner holds beside its parts.
struct Settings {
    pipeline: String,
    observer: Box<Observer<'static>>,
    heading: Heading,
    timeouts: Timeouts,
    allow_privileged_role: bool,
    stop: Option<StopHandle>,
}

impl RehearsalRunner {
    /// Returns a runner of the pipeline of this name, without any of its parts.
    pub fn new(pipeline: impl Into<String>) -> Self {
        RehearsalRunner {
            parts: (NoConnector, NoAdapter),
            settings: Settings {
                pipeline: pipeline.into(),
                observer: Box::new(|_| ()),
                heading: Heading::default(),
                timeouts: Timeouts::default(),
                allow_privileged_role: false,
                stop: None,
            },
        }
    }
}

impl<C, W> RehearsalRunner<C, W> {
    /// Gives the run its way to the database, as the role that will perform the phases live.
    pub fn connector<V: Connector>(self, connector: V) -> RehearsalRunner<Given<V>, W>
    where
        C: NotGiven,
    {
        RehearsalRunner {
            parts: (Given(connector), self.parts.1),
            settings: self.settings,
        }
    }

    /// Gives the run what performs its phases: the live adapter, [`Execute<S>`](crate::Execute) for each phase `S`.
    pub fn adapter<V>(self, adapter: V) -> RehearsalRunner<C, Given<V>>
    where
        W: NotGiven,
    {
        RehearsalRunner {
            parts: (self.parts.0, Given(adapter)),
            settings: self.settings,
        }
    }

    /// Lets another thread stop the rehearsal: see [`StopHandle`]. Each handle that is given stops it.
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        stop.stops(self.settings.stop.get_or_insert_default());
        self
    }

    /// Calls `observer` with what happens, as it happens; see [`LiveRunner::observer`](crate::LiveRunner::observer).
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.settings.observer = observed_by(self.settings.observer, observer);
        self
    }

    /// Sets how long each phase may take, and what it waits for; a phase can ask for others with
    /// [`PhaseSpec::timeouts`](crate::PhaseSpec::timeouts). Between two phases the server waits for
    /// [`Timeouts::idle`], and then ends the rehearsal. The last call holds.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Sets who makes the plan; see [`DryRunner::author`](crate::DryRunner::author).
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.settings.heading.author = Some(author.into());
        self
    }

    /// Sets who last changed what the plan is made of; see
    /// [`DryRunner::last_editor`](crate::DryRunner::last_editor).
    pub fn last_editor(mut self, editor: impl Into<String>) -> Self {
        self.settings.heading.last_editor = Some(editor.into());
        self
    }

    /// Sets from when on no phase of the plan is performed any more; see
    /// [`DryRunner::valid_until`](crate::DryRunner::valid_until).
    pub fn valid_until(mut self, moment: SystemTime) -> Self {
        self.settings.heading.valid_until = Some(moment);
        self
    }

    /// Lets a role rehearse that has privileges that bypass the interlock; see
    /// [`LiveRunner::dangerously_allow_privileged_role`](crate::LiveRunner::dangerously_allow_privileged_role). That
    /// the rehearsal cannot be committed is then no longer guaranteed.
    pub fn dangerously_allow_privileged_role(mut self) -> Self {
        self.settings.allow_privileged_role = true;
        self
    }

    /// Rehearses the pipeline, rolls it back, and returns what it returned, with what was measured.
    ///
    /// # Errors
    ///
    /// The pipeline's own; and a refusal if it performed no phase, or if the session was lost on the
    /// way, whatever it returned. Nothing remains, with any error.
    pub fn run<V, F>(self, pipeline: F) -> Result<RehearsalReport<V>, Error>
    where
        C: HasConnector<Part: Connector>,
        W: HasAdapter,
        F: for<'run> FnOnce(
            &mut Run<'run, Rehearsal, W::Part>,
            &Switch<'run, Rehearsal>,
        ) -> Result<V, Error>,
    {
        self.try_run(pipeline)
    }

    /// As [`run`](RehearsalRunner::run), for pipelines with an error type of their own.
    ///
    /// # Errors
    ///
    /// As [`run`](RehearsalRunner::run).
    pub fn try_run<V, E, F>(self, pipeline: F) -> Result<RehearsalReport<V>, E>
    where
        C: HasConnector<Part: Connector>,
        W: HasAdapter,
        E: From<Error>,
        F: for<'run> FnOnce(
            &mut Run<'run, Rehearsal, W::Part>,
            &Switch<'run, Rehearsal>,
        ) -> Result<V, E>,
    {
        let (connector, adapter) = self.parts;
        let mut connector = connector.into_part();
        let mut settings = self.settings;
        let engine = RehearsalEngine::new(
            &settings.pipeline,
            &mut connector,
            &mut *settings.observer,
            settings.timeouts,
            settings.allow_privileged_role,
            settings.stop,
        );
        let on = Switch::mint(Brand::mint());
        let mut run = Run::new(engine, adapter.into_part());
        // The engine's session rolls back when it is dropped, also on an error.
        let value = pipeline(&mut run, &on)?;
        let measured = run.into_engine().conclude().map_err(Error::from)?;
        let plan = Plan::made(
            EffectsSource::Measurement,
            &settings.pipeline,
            measured.target,
            settings.heading,
            measured.planned,
        )
        .map_err(|flaw| Error::from(Refusal::of_run(RefusalReason::PlanFlawed { flaw })))?;
        Ok(RehearsalReport {
            value,
            phases: measured.phases,
            failed: measured.failed,
            plan,
        })
    }
}

impl<C, W> fmt::Debug for RehearsalRunner<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RehearsalRunner({})", self.settings.pipeline)
    }
}
