//! The typed shell: everything that is generic, and every place that mints a token.
//!
//! An auditor reads this module to verify that a live phase cannot be built without a switch that was ON, the approval
//! that its gate demands, and the receipts of the phases before it. Each token has one `mint`, which is `pub(in
//! crate::typed)`; `grep -rn mint src` lists them and their callers:
//!
//! | token | minted by | once |
//! |---|---|---|
//! | [`Switch`] | the three runners | the live one has read the kill switch as ON |
//! | [`Approval`] | [`Run::approval`] | the engine has checked the authority's attestation |
//! | [`Receipt`] | [`Run`], after the engine has performed a phase, or found that it was committed | |
//!
//! The layers below know nothing of types: the [engine](crate::engine) gets names and bytes.

mod adapter;
mod adapter_fn;
mod after;
mod against;
mod attempt;
mod brand;
mod dry_runner;
mod erased;
mod input;
mod live_runner;
mod mode;
mod parts;
mod phase;
mod preflight;
mod preflight_report;
mod receipt;
mod rehearsal_runner;
mod report;
mod requirement;
pub mod reviewed;
mod run;
mod spec;
mod switch;

pub use adapter::{Execute, Perform, Simulate};
pub use adapter_fn::{AdapterFn, SimulatorFn, adapter_fn, simulator_fn};
pub use attempt::{Attempt, UnresolvedPhase};
pub use dry_runner::DryRunner;
pub use erased::ErasedPhase;
pub use live_runner::{LiveRunner, ReadyRunner};
pub use mode::{DryRun, Live, Mode, Rehearsal};
pub use parts::{
    Given, NoAdapter, NoAuthority, NoConnector, NoKillSwitch, NoPlan, NoSimulator, NoTarget,
};
pub use phase::Phase;
pub use preflight::{Preflight, Replayed};
pub use preflight_report::{PreflightLine, PreflightReport, Readiness};
pub use receipt::Receipt;
pub use rehearsal_runner::RehearsalRunner;
pub use report::{DryRunReport, LiveReport, RehearsalReport};
pub use requirement::{And, Approvable, Approval, Requirement, Sg1Approved, Sg2Approved, Ungated};
pub use run::{PhaseCall, Run};
pub use spec::{After, PhaseSpec, Prior, Receipts, Start, Witness};
pub use switch::{KillSwitchOn, Switch};
