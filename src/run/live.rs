use std::fmt;

use super::live_engine::LiveEngine;
use super::{Brand, Ran, Run, StopHandle, Timeouts};
use crate::approval::Authority;
use crate::kill_switch::{KillSwitch, KillSwitchOn};
use crate::mode::Live;
use crate::observer::{Event, Observer, observed_by};
use crate::outcome::{Error, Refusal};
use crate::plan::Plan;
use crate::postgres::Connector;
use crate::sealed::{NotGiven, SuppliedAdapter, SuppliedPlan};

/// Where a plan is still to be given: [`LiveRunner::plan`].
#[derive(Debug, Clone, Copy)]
pub struct NoPlan;

/// Where a kill switch is still to be given: [`LiveRunner::kill_switch`].
#[derive(Debug, Clone, Copy)]
pub struct NoKillSwitch;

/// Where an approval authority is still to be given: [`LiveRunner::authority`].
#[derive(Debug, Clone, Copy)]
pub struct NoAuthority;

/// Where a connector is still to be given: [`LiveRunner::connector`],
/// [`RehearsalRunner::connector`](crate::RehearsalRunner::connector).
#[derive(Debug, Clone, Copy)]
pub struct NoConnector;

/// Where an adapter is still to be given: [`LiveRunner::adapter`],
/// [`RehearsalRunner::adapter`](crate::RehearsalRunner::adapter).
#[derive(Debug, Clone, Copy)]
pub struct NoAdapter;

/// The adapter that was given.
#[derive(Debug, Clone, Copy)]
pub struct WithAdapter<W>(W);

impl<W> WithAdapter<W> {
    pub(super) fn new(adapter: W) -> Self {
        WithAdapter(adapter)
    }
}

impl NotGiven for NoPlan {}
impl NotGiven for NoKillSwitch {}
impl NotGiven for NoAuthority {}
impl NotGiven for NoConnector {}
impl NotGiven for NoAdapter {}

impl SuppliedPlan for Plan {
    fn into_plan(self) -> Plan {
        self
    }
}

impl<W> SuppliedAdapter for WithAdapter<W> {
    type Adapter = W;

    fn into_adapter(self) -> W {
        self.0
    }
}

/// Performs a pipeline live: each phase one transaction, by a live adapter, as planned, approved
/// and switched on.
///
/// It has five collaborators and no default for any: without one of them, [`run`](LiveRunner::run)
/// does not compile.
///
/// ```no_run
/// # use phasegate::*;
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
/// ```compile_fail
/// # use phasegate::*;
/// # fn example(plan: Plan) {
/// // No kill switch, no authority, no connector, no adapter.
/// let _ = LiveRunner::new("cut").plan(plan).run(|_, _| Ok(()));
/// # }
/// ```
#[must_use = "a runner does nothing until `run`"]
pub struct LiveRunner<P = NoPlan, K = NoKillSwitch, A = NoAuthority, C = NoConnector, W = NoAdapter>
{
    pipeline: String,
    plan: P,
    kill_switch: K,
    authority: A,
    connector: C,
    adapter: W,
    observer: Box<Observer<'static>>,
    conduct: Conduct,
}

/// How a live run goes about things, apart from what it is given.
#[derive(Debug, Clone)]
pub(super) struct Conduct {
    pub(super) stop: Option<StopHandle>,
    pub(super) timeouts: Timeouts,
    pub(super) retries: u32,
    pub(super) despite_powers: bool,
}

impl Default for Conduct {
    fn default() -> Self {
        Conduct {
            stop: None,
            timeouts: Timeouts::default(),
            retries: 2,
            despite_powers: false,
        }
    }
}

impl LiveRunner {
    /// A live run of the pipeline of this name.
    pub fn new(pipeline: impl Into<String>) -> Self {
        LiveRunner {
            pipeline: pipeline.into(),
            plan: NoPlan,
            kill_switch: NoKillSwitch,
            authority: NoAuthority,
            connector: NoConnector,
            adapter: NoAdapter,
            observer: Box::new(|_| ()),
            conduct: Conduct::default(),
        }
    }
}

impl<P, K, A, C, W> LiveRunner<P, K, A, C, W> {
    /// The plan that was approved, or a reference to it. What is not in it is not performed.
    pub fn plan(self, plan: impl Into<Plan>) -> LiveRunner<Plan, K, A, C, W>
    where
        P: NotGiven,
    {
        LiveRunner {
            pipeline: self.pipeline,
            plan: plan.into(),
            kill_switch: self.kill_switch,
            authority: self.authority,
            connector: self.connector,
            adapter: self.adapter,
            observer: self.observer,
            conduct: self.conduct,
        }
    }

    /// What says whether live execution is allowed. Several compose as a tuple: all must be ON.
    pub fn kill_switch<V>(self, kill_switch: V) -> LiveRunner<P, V, A, C, W>
    where
        K: NotGiven,
    {
        LiveRunner {
            pipeline: self.pipeline,
            plan: self.plan,
            kill_switch,
            authority: self.authority,
            connector: self.connector,
            adapter: self.adapter,
            observer: self.observer,
            conduct: self.conduct,
        }
    }

    /// Who says whether a gate was approved.
    pub fn authority<V>(self, authority: V) -> LiveRunner<P, K, V, C, W>
    where
        A: NotGiven,
    {
        LiveRunner {
            pipeline: self.pipeline,
            plan: self.plan,
            kill_switch: self.kill_switch,
            authority,
            connector: self.connector,
            adapter: self.adapter,
            observer: self.observer,
            conduct: self.conduct,
        }
    }

    /// What leads to the database.
    pub fn connector<V>(self, connector: V) -> LiveRunner<P, K, A, V, W>
    where
        C: NotGiven,
    {
        LiveRunner {
            pipeline: self.pipeline,
            plan: self.plan,
            kill_switch: self.kill_switch,
            authority: self.authority,
            connector,
            adapter: self.adapter,
            observer: self.observer,
            conduct: self.conduct,
        }
    }

    /// What performs the phases: [`Execute<S>`](crate::Execute) for each phase `S`.
    pub fn adapter<V>(self, adapter: V) -> LiveRunner<P, K, A, C, WithAdapter<V>>
    where
        W: NotGiven,
    {
        LiveRunner {
            pipeline: self.pipeline,
            plan: self.plan,
            kill_switch: self.kill_switch,
            authority: self.authority,
            connector: self.connector,
            adapter: WithAdapter(adapter),
            observer: self.observer,
            conduct: self.conduct,
        }
    }

    /// Is told what happens, as it happens. A second observer is told too, after the first.
    ///
    /// It is called in the thread of the run, between the statements of a transaction: it should be
    /// quick, and it cannot change anything.
    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.observer = observed_by(self.observer, observer);
        self
    }

    /// Lets another thread stop the run: see [`StopHandle`]. Each handle that is given stops it.
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        stop.stops(self.conduct.stop.get_or_insert_default());
        self
    }

    /// How long each phase may take, and what it waits for; a phase can ask for others with
    /// [`PhaseSpec::timeouts`](crate::PhaseSpec::timeouts). The last call holds.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.conduct.timeouts = timeouts;
        self
    }

    /// How often a whole phase is tried again after a serialization failure, a deadlock or a lock
    /// timeout, and after nothing else; 2 if this is not called. The adapter is then called again,
    /// in a new transaction, after a pause of random length. The last call holds.
    pub fn retries(mut self, retries: u32) -> Self {
        self.conduct.retries = retries;
        self
    }

    /// Lets a role perform phases that could get round the interlock: a superuser, the owner of a
    /// table under guard, and so on. The database's promises are then its good will.
    pub fn despite_a_role_that_could_get_round_the_interlock(mut self) -> Self {
        self.conduct.despite_powers = true;
        self
    }

    /// Performs the pipeline: nothing that is not in the plan, in the plan's order, each phase in a
    /// transaction of its own. `Ok` means that every planned phase is committed; [`Ran::performed`] says how many of them by
    /// this run. Where it is 0 the plan was performed before, and this run changed nothing.
    ///
    /// A phase that the database's journal has as committed is not performed again: its receipt is
    /// handed back, with the output that it left. So the same plan can be run again after a failure,
    /// by anybody, and goes on where it stopped. Of two runs of one plan at once, one performs, and
    /// the other waits for it.
    ///
    /// # Errors
    ///
    /// - [`Error::Refused`] before the pipeline is entered: switch OFF, plan of another pipeline;
    /// - [`Error::Incomplete`] if it answered `Ok` before every planned phase was performed;
    /// - [`Error::InDoubt`] if a phase is, whatever it answered;
    /// - otherwise the pipeline's own.
    ///
    /// Whatever the error, the phases that came before the one it names are committed, and stay so.
    pub fn run<V, F>(self, pipeline: F) -> Result<Ran<V>, Error>
    where
        P: SuppliedPlan,
        K: KillSwitch,
        A: Authority,
        C: Connector,
        W: SuppliedAdapter,
        F: for<'run> FnOnce(
            &mut Run<'run, Live, W::Adapter>,
            &KillSwitchOn<'run>,
        ) -> Result<V, Error>,
    {
        self.try_run(pipeline)
    }

    /// As [`run`](LiveRunner::run), for pipelines with an error type of their own, which takes up
    /// the crate's by `From<phasegate::Error>`:
    /// `.try_run(|run, on| -> Result<_, MyError> { .. })`.
    ///
    /// # Errors
    ///
    /// As [`run`](LiveRunner::run).
    pub fn try_run<V, E, F>(mut self, pipeline: F) -> Result<Ran<V>, E>
    where
        P: SuppliedPlan,
        K: KillSwitch,
        A: Authority,
        C: Connector,
        W: SuppliedAdapter,
        E: From<Error>,
        F: for<'run> FnOnce(&mut Run<'run, Live, W::Adapter>, &KillSwitchOn<'run>) -> Result<V, E>,
    {
        let plan = self.plan.into_plan();
        if plan.pipeline() != self.pipeline {
            return Err(Error::from(Refusal::AnotherPipeline {
                planned: plan.pipeline().to_owned(),
                running: self.pipeline,
            })
            .into());
        }
        let engine = LiveEngine::new(
            &plan,
            &self.kill_switch,
            &mut self.authority,
            &mut self.connector,
            &mut *self.observer,
            self.conduct,
        );
        engine.refuse_unless_on(None).map_err(Error::from)?;
        let on = KillSwitchOn::mint(Brand::new());
        let mut run = Run::new(engine, self.adapter.into_adapter());
        let answer = pipeline(&mut run, &on);
        run.engine.conclude(answer)
    }
}

impl<P, K, A, C, W> fmt::Debug for LiveRunner<P, K, A, C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveRunner({})", self.pipeline)
    }
}
