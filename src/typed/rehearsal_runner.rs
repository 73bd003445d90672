//! The runner of rehearsals.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::brand::Brand;
use super::mode::Rehearsal;
use super::parts::{Given, HasAdapter, HasConnector, NoAdapter, NoConnector, NotGiven};
use super::report::RehearsalReport;
use super::run::Run;
use super::switch::Switch;
use crate::base::secret;
use crate::base::timestamp::Timestamp;
use crate::database::Connector;
use crate::engine::{RehearsalEngine, StopHandle, Timeouts};
use crate::gates::GateTable;
use crate::observer::{Event, Observer, observed_by};
use crate::outcome::{Error, Refusal, RefusalReason};
use crate::plan::{EffectsSource, Heading, Plan, PlanInputs, PlanOutputs, ProgramIdentity};

/// Rehearses a pipeline: the real adapter, in a real transaction, on the real data; measures its effects; rolls
/// everything back; and returns a [`Plan`](crate::Plan) with the measured effects.
///
/// The whole run is one transaction, in one session, so that each phase sees the rows that earlier phases wrote. Each
/// phase is in a savepoint: a phase that fails names its row and is rolled back alone, and the pipeline may go on. At
/// the end of a phase the deferred constraints are checked, as at the close of a live phase. When the run ends, also
/// by an error or a panic, all of it is rolled back; and in the database the interlock refuses the commit of a
/// rehearsal by any statement, while the guard lets the rehearsal write as it lets a phase.
///
/// A rehearsal needs neither plan nor approval nor kill switch, since it leaves no change. The role is the one that
/// will perform the phases live; the database has the schema `phasegate`. An operator who turns the database's switch
/// OFF ends the rehearsals in progress too.
///
/// Since a rehearsal needs no approval, a runner may block other sessions at any time, as its privileges on the tables
/// allow anyway. To prevent that: `REVOKE EXECUTE ON FUNCTION phasegate.open_rehearsal FROM phasegate_runner`.
///
/// The runner has two parts and no default for either: without one of them, [`run`](RehearsalRunner::run) does not
/// compile.
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
/// # Effects that cannot be rolled back
///
/// - Sequences that were advanced stay advanced ([`RehearsedPhase::sequences`](crate::runner::RehearsedPhase)).
/// - The locks are real: other sessions wait for them until the run ends
///   ([`RehearsedPhase::locks`](crate::runner::RehearsedPhase), and locks on single rows, which no view shows). It
///   waits 1 s for a lock itself, and then fails. Give it a moment in which the database is not in use.
/// - Effects outside of the database: another connection (`dblink`), a file, a program, a mail. An effect that waits
///   for the commit, like `NOTIFY`, does not take place.
/// - The server's own work: dead rows, WAL, counters of the statistics.
///
/// # Where it differs from a live run
///
/// - A rehearsal is one transaction: `now()` is the same in all phases, no other session sees the rows of earlier
///   phases, and an advisory lock of the transaction is held to its end. Settings, cursors, session locks and the role
///   are reset after each phase, as between live phases.
/// - A phase is tried once: there are no retries.
/// - `TRUNCATE` and DDL are refused, as in a live run.
/// - After a phase, each deferred constraint returns to the mode in which it was declared. A constraint whose name is
///   ambiguous in its schema, or whose schema the role may not use, is checked at the end of each phase.
#[must_use = "a runner does nothing until `run`"]
pub struct RehearsalRunner<C = NoConnector, W = NoAdapter> {
    parts: (C, W),
    settings: Settings,
}

/// The options of a runner beside its parts.
struct Settings {
    pipeline: String,
    observer: Box<Observer<'static>>,
    heading: Heading,
    timeouts: Timeouts,
    allow_privileged_role: bool,
    stop: Option<StopHandle>,
}

/// A rehearsal gives way to other sessions: it fails rather than wait for a lock, behind which others would queue.
const REHEARSAL: Timeouts = Timeouts::DEFAULT.lock(Duration::from_secs(1));

impl RehearsalRunner {
    /// Returns a runner of the pipeline of this name, without any of its parts.
    pub fn new(pipeline: impl Into<String>) -> Self {
        RehearsalRunner {
            parts: (NoConnector, NoAdapter),
            settings: Settings {
                pipeline: pipeline.into(),
                observer: Box::new(|_| ()),
                heading: Heading::default(),
                timeouts: REHEARSAL,
                allow_privileged_role: false,
                stop: None,
            },
        }
    }
}

impl<C, W> RehearsalRunner<C, W> {
    /// Sets the connector, as the role that will perform the phases live.
    pub fn connector<V: Connector>(self, connector: V) -> RehearsalRunner<Given<V>, W>
    where
        C: NotGiven,
    {
        RehearsalRunner {
            parts: (Given(connector), self.parts.1),
            settings: self.settings,
        }
    }

    /// Sets the live adapter, which implements [`Execute<S>`](crate::Execute) for each phase `S`.
    pub fn adapter<V>(self, adapter: V) -> RehearsalRunner<C, Given<V>>
    where
        W: NotGiven,
    {
        RehearsalRunner {
            parts: (self.parts.0, Given(adapter)),
            settings: self.settings,
        }
    }

    /// Lets another thread stop the rehearsal: see [`StopHandle`]. With several handles, each of them stops it.
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        stop.stops(self.settings.stop.get_or_insert_default());
        self
    }

    /// Calls `observer` with each event as it happens; see [`LiveRunner::observer`](crate::LiveRunner::observer).
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.settings.observer = observed_by(self.settings.observer, observer);
        self
    }

    /// Sets the time limits of each phase and of its waits, by default those of a live run with 1 s for a lock; a phase can set others with
    /// [`PhaseSpec::timeouts`](crate::PhaseSpec::timeouts). Between two phases the server waits for
    /// [`Timeouts::idle`], and then ends the rehearsal. The last call counts.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Sets the author of the plan; see [`DryRunner::author`](crate::DryRunner::author).
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.settings.heading.author = Some(author.into());
        self
    }

    /// Sets who last changed the plan's input; see [`DryRunner::last_editor`](crate::DryRunner::last_editor).
    pub fn last_editor(mut self, editor: impl Into<String>) -> Self {
        self.settings.heading.last_editor = Some(editor.into());
        self
    }

    /// Sets when the plan expires; see [`DryRunner::valid_until`](crate::DryRunner::valid_until).
    pub fn valid_until(mut self, moment: SystemTime) -> Self {
        self.settings.heading.valid_until = Some(moment);
        self
    }

    /// Sets what tells the plan from another one with the same change; see [`Plan::occasion`](crate::Plan::occasion). By
    /// default, it is the moment of the rehearsal and eight random bytes: each rehearsal makes a plan of its own, which is
    /// performed once.
    pub fn occasion(mut self, occasion: impl Into<String>) -> Self {
        self.settings.heading.occasion = Some(occasion.into());
        self
    }

    /// Sets what the program says of itself, for the plan: [`ProgramIdentity::of_this_process`]. A live run can demand
    /// the same ([`LiveRunner::same_program`](crate::LiveRunner::same_program)).
    pub fn program(mut self, program: ProgramIdentity) -> Self {
        self.settings.heading.program = Some(program);
        self
    }

    /// Lets a role rehearse that has privileges that bypass the interlock; see
    /// [`LiveRunner::dangerously_allow_privileged_role`](crate::LiveRunner::dangerously_allow_privileged_role). It is
    /// then no longer guaranteed that the rehearsal cannot be committed.
    pub fn dangerously_allow_privileged_role(mut self) -> Self {
        self.settings.allow_privileged_role = true;
        self
    }

    /// Rehearses the pipeline, rolls it back, and returns the pipeline's value, with the measurements.
    ///
    /// # Errors
    ///
    /// Returns the pipeline's own error; or a refusal if it performed no phase, or if the session was lost meanwhile,
    /// even if the pipeline returned `Ok`. With any error, nothing is left in the database.
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

    /// As [`run`](RehearsalRunner::run), for pipelines with a custom error type.
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
        let (engine, seen) = run.into_parts();
        let measured = engine.conclude().map_err(Error::from)?;
        let heading = &mut settings.heading;
        heading.occasion.get_or_insert_with(default_occasion);
        let plan = Plan::made(
            EffectsSource::Measurement,
            &settings.pipeline,
            measured.target,
            settings.heading,
            measured.planned,
            Some(measured.means),
        )
        .map_err(|flaw| Error::from(Refusal::of_run(RefusalReason::PlanFlawed { flaw })))?;
        let gates = GateTable::of(&plan, &seen);
        let inputs = PlanInputs::of(&plan, measured.inputs);
        let outputs = PlanOutputs::of(&plan, measured.outputs);
        Ok(RehearsalReport {
            value,
            phases: measured.phases,
            failed: measured.failed,
            plan,
            inputs,
            outputs,
            gates,
        })
    }
}

/// Returns an occasion that no other rehearsal has.
fn default_occasion() -> String {
    let random = secret::unique().replace('-', "");
    let random = &random[..random.len().min(16)];
    format!("rehearsed {}, {random}", Timestamp::of(SystemTime::now()))
}

impl<C, W> fmt::Debug for RehearsalRunner<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RehearsalRunner({})", self.settings.pipeline)
    }
}
