//! A live run that lacks nothing, of which a test replaces what it is about.

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    Error, KillSwitchOn, Live, LiveRunner, Plan, Run, Timeouts,
    approval::Authority,
    connect::{Connector, PostgresConnector},
    runner::{Event, LiveReport, ReadyRunner, StopHandle},
    switch::KillSwitch,
};

use super::PIPELINE;

/// The parts of a live run: always on, everything approved, unless a test says otherwise.
#[must_use]
pub struct Prepared<W, K = ScriptedSwitch, A = ApprovesEverything, C = PostgresConnector> {
    runner: LiveRunner,
    plan: Plan,
    kill_switch: K,
    authority: A,
    connector: C,
    adapter: W,
}

impl<W> Prepared<W> {
    pub(super) fn new(plan: Plan, connector: PostgresConnector, adapter: W) -> Self {
        Prepared {
            runner: LiveRunner::new(PIPELINE),
            plan,
            kill_switch: ScriptedSwitch::always_on(),
            authority: ApprovesEverything,
            connector,
            adapter,
        }
    }
}

impl<W, K, A, C> Prepared<W, K, A, C> {
    pub fn kill_switch<V>(self, kill_switch: V) -> Prepared<W, V, A, C> {
        Prepared {
            runner: self.runner,
            plan: self.plan,
            kill_switch,
            authority: self.authority,
            connector: self.connector,
            adapter: self.adapter,
        }
    }

    pub fn authority<V>(self, authority: V) -> Prepared<W, K, V, C> {
        Prepared {
            runner: self.runner,
            plan: self.plan,
            kill_switch: self.kill_switch,
            authority,
            connector: self.connector,
            adapter: self.adapter,
        }
    }

    pub fn connector<V>(self, connector: V) -> Prepared<W, K, A, V> {
        Prepared {
            runner: self.runner,
            plan: self.plan,
            kill_switch: self.kill_switch,
            authority: self.authority,
            connector,
            adapter: self.adapter,
        }
    }

    pub fn observer(mut self, observer: impl FnMut(&Event<'_>) + Send + 'static) -> Self {
        self.runner = self.runner.observer(observer);
        self
    }

    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        self.runner = self.runner.stop_handle(stop);
        self
    }

    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.runner = self.runner.timeouts(timeouts);
        self
    }

    pub fn retries(mut self, retries: u32) -> Self {
        self.runner = self.runner.retries(retries);
        self
    }

    pub fn dangerously_allow_privileged_role(mut self) -> Self {
        self.runner = self.runner.dangerously_allow_privileged_role();
        self
    }

    pub fn runner(self) -> ReadyRunner<K, A, C, W>
    where
        K: KillSwitch,
        A: Authority,
        C: Connector,
    {
        self.runner
            .plan(self.plan)
            .kill_switch(self.kill_switch)
            .authority(self.authority)
            .connector(self.connector)
            .adapter(self.adapter)
    }

    pub fn run<V, F>(self, pipeline: F) -> Result<LiveReport<V>, Error>
    where
        K: KillSwitch,
        A: Authority,
        C: Connector,
        F: for<'run> FnOnce(&mut Run<'run, Live, W>, &KillSwitchOn<'run>) -> Result<V, Error>,
    {
        self.runner().run(pipeline)
    }
}
