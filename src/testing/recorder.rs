use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    Effects, Execute, Failure, PhaseSpec, PhaseTx, Prior, Simulate,
    approval::{ApprovalRequest, Attestation, Authority, Denied},
    connect::{ConnectError, Connection, Connector},
    switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable},
};

/// The recorded calls, in the order in which they were made. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Calls::default()
    }

    /// Adds a call at the end.
    pub fn record(&self, call: impl Into<String>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call.into());
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns how many calls begin with `start`.
    #[must_use]
    pub fn count(&self, start: &str) -> usize {
        let begins = |call: &&String| call.starts_with(start);
        self.so_far().iter().filter(begins).count()
    }
}

/// Wraps a collaborator, records every call, and forwards it.
///
/// It implements the traits of the collaborator, and records `simulate NAME`, `execute NAME`, `connect`, `read switch`
/// and `attest GATE for PHASE`.
#[derive(Debug, Clone)]
pub struct Recorder<W> {
    inner: W,
    calls: Calls,
}

impl<W> Recorder<W> {
    /// Wraps `inner`, and records the calls to it in `calls`.
    pub fn new(inner: W, calls: &Calls) -> Self {
        let calls = calls.clone();
        Recorder { inner, calls }
    }
}

impl<S: PhaseSpec, W: Simulate<S>> Simulate<S> for Recorder<W> {
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        self.calls.record(format!("simulate {}", S::NAME));
        self.inner.simulate(spec, prior, effects)
    }
}

impl<S: PhaseSpec, W: Execute<S>> Execute<S> for Recorder<W> {
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.calls.record(format!("execute {}", S::NAME));
        self.inner.execute(spec, prior, tx)
    }
}

impl<W: Connector> Connector for Recorder<W> {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        self.calls.record("connect");
        self.inner.connect()
    }
}

impl<W: KillSwitch> KillSwitch for Recorder<W> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        self.calls.record("read switch");
        self.inner.read()
    }

    fn describe_off(&self) -> SwitchOff {
        self.inner.describe_off()
    }
}

impl<W: Authority> Authority for Recorder<W> {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let (gate, phase) = (request.gate(), request.phase());
        self.calls.record(format!("attest {gate} for {phase}"));
        self.inner.attest(request)
    }
}
