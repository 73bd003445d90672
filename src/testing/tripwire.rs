use crate::{
    Effects, Execute, Failure, PhaseSpec, PhaseTx, Prior, Simulate,
    approval::{ApprovalRequest, Attestation, Authority, Denied},
    connect::{ConnectError, Connection, Connector},
};

/// A simulator of every phase that panics if it is called: to test that a live run never calls it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TripwireSimulator;

/// A live adapter of every phase that panics if it is called: to test that a dry run or a refused run never calls it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TripwireAdapter;

/// A connector that panics if it is called: to test that a refusal came before connecting.
#[derive(Debug, Clone, Copy, Default)]
pub struct TripwireConnector;

/// An authority that panics if it is called: to test that a dry run never calls it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TripwireAuthority;

impl<S: PhaseSpec> Simulate<S> for TripwireSimulator {
    fn simulate(&mut self, _: &S, _: Prior<'_, S>, _: &mut Effects) -> Result<S::Output, Failure> {
        panic!("tripwire: the simulator of phase `{}` was called", S::NAME)
    }
}

impl<S: PhaseSpec> Execute<S> for TripwireAdapter {
    fn execute(
        &mut self,
        _: &S,
        _: Prior<'_, S>,
        _: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        panic!(
            "tripwire: the live adapter of phase `{}` was called",
            S::NAME
        )
    }
}

impl Connector for TripwireConnector {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        panic!("tripwire: the connector was called")
    }
}

impl Authority for TripwireAuthority {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        panic!(
            "tripwire: the authority was asked for gate `{}`",
            request.gate()
        )
    }
}
