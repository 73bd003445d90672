//! The runner of live runs.

use std::fmt;

use super::brand::Brand;
use super::mode::Live;
use super::parts::{
    Given, HasAdapter, HasAuthority, HasConnector, HasKillSwitch, HasPlan, NoAdapter, NoAuthority,
    NoConnector, NoKillSwitch, NoPlan, NotGiven,
};
use super::report::LiveReport;
use super::run::Run;
use super::switch::{KillSwitchOn, Switch};
use crate::authority::Authority;
use crate::database::{Connector, Session};
use crate::engine::{LiveEngine, LiveOptions, Progress, StopHandle, Timeouts};
use crate::kill_switch::KillSwitch;
use crate::observer::{Event, Observer, observed_by};
use crate::outcome::{Error, Refusal, RefusalReason};
use crate::plan::{Plan, PlanInputs, ProgramIdentity};

/// Performs a pipeline live: each phase one transaction, by a live adapter, as planned, approved
/// and switched on.
///
/// It has five parts and no default for any: without one of them, [`run`](LiveRunner::run)
/// does not compile.
///
/// ```no_run
/// # use phasegate::{*, approval::UnsignedApprovals, connect::PostgresConnector, switch::FileSwitch};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// # struct Writes;
/// # impl Execute<Cut> for Writes {
/// #     fn execute(&mut self, _: &Cut, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(1) }
/// # }
/// # fn example(plan: Plan, approvals: UnsignedApprovals, config: postgres::Config) -> Result<(), Error> {
/// let rows = LiveRunner::new("cut")
///     .plan(plan)
///     .kill_switch(FileSwitch::new("/run/cutover/kill-switch"))
///     .authority(approvals)
///     .connector(PostgresConnector::no_tls(config))
///     .adapter(Writes)
///     .run(|run, on| {
///         let sg1 = run.approval()?;
///         Ok(run.phase(Cut).perform(on, sg1, Start)?.into_output())
///     })?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0277
/// # use phasegate::*;
/// # fn example(plan: Plan) {
/// // No kill switch, no authority, no connector, no adapter.
/// let _ = LiveRunner::new("cut").plan(plan).run(|_, _| Ok(()));
/// # }
/// ```
#[must_use = "a runner does nothing until `run`"]
pub struct LiveRunner<P = NoPlan, K = NoKillSwitch, A = NoAuthority, C = NoConnector, W = NoAdapter>
{
    parts: (P, K, A, C, W),
    settings: Settings,
}

/// A live runner with all its parts, for programs that write out its type.
pub type ReadyRunner<K, A, C, W> = LiveRunner<Given<Plan>, Given<K>, Given<A>, Given<C>, Given<W>>;

/// What a runner holds beside its parts.
struct Settings {
    pipeline: String,
    observer: Box<Observer<'static>>,
    options: LiveOptions,
    prepared: Option<Session>,
    inputs: Option<PlanInputs>,
    same_program: bool,
}

impl LiveRunner {
    /// Returns a runner of the pipeline of this name, without any of its parts.
    pub fn new(pipeline: impl Into<String>) -> Self {
        LiveRunner {
            parts: (NoPlan, NoKillSwitch, NoAuthority, NoConnector, NoAdapter),
            settings: Settings {
                pipeline: pipeline.into(),
                observer: Box::new(|_| ()),
                options: LiveOptions::default(),
                prepared: None,
                inputs: None,
                same_program: false,
            },
        }
    }
}

impl<P, K, A, C, W> LiveRunner<P, K, A, C, W> {
    fn with<P2, K2, A2, C2, W2>(
        self,
        give: impl FnOnce((P, K, A, C, W)) -> (P2, K2, A2, C2, W2),
    ) -> LiveRunner<P2, K2, A2, C2, W2> {
        LiveRunner {
            parts: give(self.parts),
            settings: self.settings,
        }
    }

    /// Gives the run its plan, or a reference to it. What is not in the plan is not performed.
    pub fn plan(self, plan: impl Into<Plan>) -> LiveRunner<Given<Plan>, K, A, C, W>
    where
        P: NotGiven,
    {
        self.with(|(_, k, a, c, w)| (Given(plan.into()), k, a, c, w))
    }

    /// Gives the run its kill switch. Several compose as a tuple: all must be ON.
    pub fn kill_switch<V: KillSwitch>(self, kill_switch: V) -> LiveRunner<P, Given<V>, A, C, W>
    where
        K: NotGiven,
    {
        self.with(|(p, _, a, c, w)| (p, Given(kill_switch), a, c, w))
    }

    /// Gives the run its authority: what says whether a gate was approved.
    pub fn authority<V: Authority>(self, authority: V) -> LiveRunner<P, K, Given<V>, C, W>
    where
        A: NotGiven,
    {
        self.with(|(p, k, _, c, w)| (p, k, Given(authority), c, w))
    }

    /// Gives the run its way to the database.
    pub fn connector<V: Connector>(self, connector: V) -> LiveRunner<P, K, A, Given<V>, W>
    where
        C: NotGiven,
    {
        self.with(|(p, k, a, _, w)| (p, k, a, Given(connector), w))
    }

    /// Gives the run what performs its phases: [`Execute<S>`](crate::Execute) for each phase `S`.
    pub fn adapter<V>(self, adapter: V) -> LiveRunner<P, K, A, C, Given<V>>
    where
        W: NotGiven,
    {
        self.with(|(p, k, a, c, _)| (p, k, a, c, Given(adapter)))
    }

    /// Calls `observer` with what happens, as it happens. A second observer is called after the first.
    ///
    /// It is called in the thread of the run, between the statements of a transaction: it should be
    /// quick, and it cannot change anything.
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.settings.observer = observed_by(self.settings.observer, observer);
        self
    }

    /// Lets another thread stop the run: see [`StopHandle`]. Each handle that is given stops it.
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        stop.stops(self.settings.options.stop.get_or_insert_default());
        self
    }

    /// Sets how long each phase may take, and what it waits for; a phase can ask for others with
    /// [`PhaseSpec::timeouts`](crate::PhaseSpec::timeouts). The last call holds.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.options.timeouts = timeouts;
        self
    }

    /// Sets how often a whole phase is tried again after a serialization failure, a deadlock or a lock
    /// timeout, and after nothing else; 2 if this is not called. The adapter is then called again,
    /// in a new transaction, after a pause of random length. The last call holds.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.options.retries = retries;
        self
    }

    /// Gives the run the inputs of its plan, for a pipeline that asks for them: [`Run::input`](crate::Run::input).
    pub fn inputs(mut self, inputs: PlanInputs) -> Self {
        self.settings.inputs = Some(inputs);
        self
    }

    /// Sets what the program says of itself, for the journal: [`ProgramIdentity::of_this_process`].
    pub fn program(mut self, program: ProgramIdentity) -> Self {
        self.settings.options.program = Some(program);
        self
    }

    /// Has the run refused unless the plan was made by this very executable, by its SHA-256. It is what binds the
    /// parameters of statements where a table's guard does not bind values; and the program has to be built so that the
    /// same bytes come out wherever it is built.
    pub fn same_program(mut self) -> Self {
        self.settings.same_program = true;
        self
    }

    /// Lets a role perform phases that has privileges that bypass the interlock: a superuser, the owner of a
    /// guarded table, and so on. What the database enforces is then no longer guaranteed.
    pub fn dangerously_allow_privileged_role(mut self) -> Self {
        self.settings.options.allow_privileged_role = true;
        self
    }

    /// Opens a session for each phase, where else the phases of a run share one. Between two phases, that one is reset:
    /// settings, role, locks, temporary tables, sequences and channels are as in a new session. What the
    /// server cannot reset is not: a library that a phase has loaded, and what a procedural language (`plpython3u`,
    /// `plperl`) or an extension (`dblink`) keeps in the session.
    pub fn new_session_per_phase(mut self) -> Self {
        self.settings.options.new_session_per_phase = true;
        self
    }

    /// Connects ahead of [`run`](LiveRunner::run), and has the session plan what the opening and the close of a phase
    /// need, so that the first phase has less to wait for; what it writes is planned in the phase. Performs nothing: the first phase is opened and
    /// finished without its adapter, and rolled back. What the server refuses there (no lease, an approval that is
    /// missing) is left for the run to say.
    ///
    /// Asks the authority for the approvals of the first phase, and connects whether the kill switch of the run is ON
    /// or not.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no connection.
    pub fn prepare(&mut self) -> Result<(), Error>
    where
        P: HasPlan<Part = Plan>,
        K: HasKillSwitch<Part: KillSwitch>,
        A: HasAuthority<Part: Authority>,
        C: HasConnector<Part: Connector>,
    {
        let (plan, kill_switch, authority, connector, _) = &mut self.parts;
        let engine = LiveEngine::new(
            plan.part(),
            kill_switch.part(),
            authority.part(),
            connector.part(),
            &mut *self.settings.observer,
            self.settings.options.clone(),
            None,
        );
        self.settings.prepared = engine.prepare()?;
        Ok(())
    }

    /// Performs the pipeline: nothing that is not in the plan, in the plan's order, each phase in a
    /// transaction of its own. `Ok` means that every planned phase is committed; [`LiveReport::performed`] says how many of them by
    /// this run. Where it is 0 the plan was performed before, and this run changed nothing.
    ///
    /// A phase that the database's journal has as committed is not performed again: its receipt is
    /// returned, with the output that it left. So the same plan can be run again after a failure,
    /// by any operator, and goes on where it stopped. Of two runs of one plan at once, one performs, and
    /// the other waits for it.
    ///
    /// # Errors
    ///
    /// - [`Error::Refused`] before the pipeline is entered: switch OFF, plan of another pipeline;
    /// - [`Error::Incomplete`] if it returned `Ok` before every planned phase was performed;
    /// - [`Error::InDoubt`] if a phase is, whatever it returned;
    /// - otherwise the pipeline's own.
    ///
    /// The phases that came before the one it names are committed and stay so, with every error.
    pub fn run<V, F>(self, pipeline: F) -> Result<LiveReport<V>, Error>
    where
        P: HasPlan<Part = Plan>,
        K: HasKillSwitch<Part: KillSwitch>,
        A: HasAuthority<Part: Authority>,
        C: HasConnector<Part: Connector>,
        W: HasAdapter,
        F: for<'run> FnOnce(&mut Run<'run, Live, W::Part>, &KillSwitchOn<'run>) -> Result<V, Error>,
    {
        self.try_run(pipeline)
    }

    /// As [`run`](LiveRunner::run), for pipelines with an error type of their own, which implements
    /// `From<phasegate::Error>`:
    /// `.try_run(|run, on| -> Result<_, MyError> { .. })`.
    ///
    /// # Errors
    ///
    /// As [`run`](LiveRunner::run).
    pub fn try_run<V, E, F>(self, pipeline: F) -> Result<LiveReport<V>, E>
    where
        P: HasPlan<Part = Plan>,
        K: HasKillSwitch<Part: KillSwitch>,
        A: HasAuthority<Part: Authority>,
        C: HasConnector<Part: Connector>,
        W: HasAdapter,
        E: From<Error>,
        F: for<'run> FnOnce(&mut Run<'run, Live, W::Part>, &KillSwitchOn<'run>) -> Result<V, E>,
    {
        let (plan, kill_switch, authority, connector, adapter) = self.parts;
        let Settings {
            pipeline: running,
            mut observer,
            options,
            prepared,
            inputs,
            same_program,
        } = self.settings;
        let plan = plan.into_part();
        if plan.pipeline() != running {
            return Err(Error::from(Refusal::of_run(RefusalReason::AnotherPipeline {
                planned: plan.pipeline().to_owned(),
                running,
            }))
            .into());
        }
        let refused = |reason| Err(Error::from(Refusal::of_run(reason)).into());
        if same_program && let Err(reason) = ensure_same_program(&plan, options.program.clone()) {
            return refused(reason);
        }
        if let Some(Err(error)) = inputs.as_ref().map(|inputs| inputs.ensure_of(&plan)) {
            return refused(RefusalReason::AnotherInputs(error));
        }
        let kill_switch = kill_switch.into_part();
        let mut authority = authority.into_part();
        let mut connector = connector.into_part();
        let mut engine = LiveEngine::new(
            &plan,
            &kill_switch,
            &mut authority,
            &mut connector,
            &mut *observer,
            options,
            prepared,
        )
        .with_inputs(inputs.as_ref());
        let name = engine.begin();
        if let Err(refusal) = engine.refuse_unless_on(None) {
            engine.end(&name, Some(&refusal));
            return Err(Error::from(refusal).into());
        }
        // The only mint of a live switch token: the lines above have read the switch as ON.
        let on = Switch::mint(Brand::mint());
        let mut run = Run::new(engine, adapter.into_part());
        let value = pipeline(&mut run, &on);
        let mut engine = run.into_engine();
        engine.end(&name, None);
        if let Some(doubt) = engine.in_doubt() {
            return Err(Error::from(doubt.clone()).into());
        }
        let value = value?;
        let Progress {
            performed,
            before,
            before_at,
        } = engine.conclude().map_err(Error::from)?;
        Ok(LiveReport {
            value,
            performed,
            committed_before: before,
            last_committed_at: before_at,
        })
    }
}

fn ensure_same_program(plan: &Plan, running: Option<ProgramIdentity>) -> Result<(), RefusalReason> {
    let running = running.or_else(|| ProgramIdentity::of_this_process().ok());
    let sha256 = |program: &ProgramIdentity| program.sha256();
    match (plan.program().map(sha256), running.as_ref().map(sha256)) {
        (Some(planned), Some(running)) if planned == running => Ok(()),
        _ => Err(RefusalReason::AnotherProgram {
            planned: plan.program().cloned().map(Box::new),
            running: running.map(Box::new),
        }),
    }
}

impl<P, K, A, C, W> fmt::Debug for LiveRunner<P, K, A, C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveRunner({})", self.settings.pipeline)
    }
}
