//! Which trait each token has and has not, cell by cell, checked by the compiler on every
//! toolchain: a derive too many breaks the build of this file.

mod pipeline;

use std::mem::size_of;

use phasegate::{
    And, Approval, Attempt, DryRun, KillSwitchOn, Live, LiveRunner, Phase, PhaseTx, Plan, Receipt,
    Rehearsal, RehearsalRunner, Run, Sg1, Sg1Approved, Sg2, Sg2Approved, Start, Switch, Ungated,
    approval::{ApprovalStatement, Attestation, Evidence},
    runner::PhaseCall,
    ssh::{AllowedSigners, Policy, RevokedKeys, SignedApprovals},
};
use pipeline::{Adapter, Draft, Simulator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use static_assertions::{assert_impl_all, assert_not_impl_any, const_assert_eq};

type Both<'run> = Approval<'run, And<Sg1, Sg2>, Live>;
type LivePhase<'r, 'run> = Phase<'r, 'run, Draft, Live>;
type DryPhase<'r, 'run> = Phase<'r, 'run, Draft, DryRun>;
type RehearsalPhase<'r, 'run> = Phase<'r, 'run, Draft, Rehearsal>;

/// What proves something about a run: none of it can be doubled, made from nothing, read from a
/// file, written to one, compared, or sent to another thread.
macro_rules! proves_something {
    ($($token:ty),+ $(,)?) => {$(
        assert_not_impl_any!($token:
            Clone, Copy, Default, Serialize, DeserializeOwned, PartialEq, PartialOrd, Send, Sync);
    )+};
}

proves_something!(
    KillSwitchOn<'static>,
    Sg1Approved<'static>,
    Sg2Approved<'static>,
    Both<'static>,
    Switch<'static, DryRun>,
    Switch<'static, Rehearsal>,
    Approval<'static, Sg1, DryRun>,
    Approval<'static, Sg1, Rehearsal>,
    Receipt<'static, Draft, Live>,
    Receipt<'static, Draft, DryRun>,
    Receipt<'static, Draft, Rehearsal>,
    LivePhase<'static, 'static>,
    DryPhase<'static, 'static>,
    RehearsalPhase<'static, 'static>,
    Attempt<'static, 'static, Draft, Live>,
    Run<'static, Live, Adapter>,
    Run<'static, DryRun, Simulator>,
    Run<'static, Rehearsal, Adapter>,
    PhaseCall<'static, 'static, Draft, Live, Adapter>,
    PhaseCall<'static, 'static, Draft, DryRun, Simulator>,
    PhaseCall<'static, 'static, Draft, Rehearsal, Adapter>,
);

// A transaction stays where it is lent; it has no thread of its own to be tied to but its run's.
assert_not_impl_any!(PhaseTx<'static>: Clone, Copy, Default, Serialize, DeserializeOwned, Send, Sync);

// A plan may be copied, compared and sent; it cannot be made from nothing or deserialized.
assert_impl_all!(Plan: Clone, PartialEq, Send, Sync);
assert_not_impl_any!(Plan: Copy, Default, Serialize, DeserializeOwned);

// What says that nothing is required proves nothing.
assert_impl_all!(Ungated: Clone, Copy, Send, Sync);
assert_impl_all!(Start: Clone, Copy, Send, Sync);

// A statement and an attestation are data. The runner may go to another thread; its run may not.
assert_impl_all!(ApprovalStatement: Clone, Send, Sync);
assert_impl_all!(Attestation: Clone, Send, Sync);
assert_not_impl_any!(Attestation: Default, Serialize, DeserializeOwned);
// What was signed may be read from anywhere; what judges it may not be made without its checks.
assert_impl_all!(Evidence: Clone, PartialEq, Serialize, DeserializeOwned, Send, Sync);
assert_not_impl_any!(Policy: Default, DeserializeOwned);
assert_not_impl_any!(AllowedSigners: Default, DeserializeOwned);
assert_not_impl_any!(RevokedKeys: Default, DeserializeOwned);
assert_not_impl_any!(SignedApprovals: Clone, Default, DeserializeOwned);
assert_impl_all!(LiveRunner: Send);
assert_impl_all!(RehearsalRunner: Send);

// What carries nothing weighs nothing.
const_assert_eq!(size_of::<KillSwitchOn<'static>>(), 0);
const_assert_eq!(size_of::<Sg1Approved<'static>>(), 0);
const_assert_eq!(size_of::<Sg2Approved<'static>>(), 0);
const_assert_eq!(size_of::<Both<'static>>(), 0);
const_assert_eq!(size_of::<Switch<'static, DryRun>>(), 0);
const_assert_eq!(size_of::<Approval<'static, Sg1, DryRun>>(), 0);
const_assert_eq!(size_of::<Ungated>(), 0);
const_assert_eq!(size_of::<Start>(), 0);
const_assert_eq!(size_of::<DryRun>(), 0);
const_assert_eq!(size_of::<Rehearsal>(), 0);
const_assert_eq!(size_of::<Live>(), 0);

// A phase weighs what its spec and its references to receipts weigh, in every mode.
const_assert_eq!(size_of::<LivePhase<'static, 'static>>(), size_of::<Draft>());
const_assert_eq!(size_of::<DryPhase<'static, 'static>>(), size_of::<Draft>());
const_assert_eq!(
    size_of::<RehearsalPhase<'static, 'static>>(),
    size_of::<Draft>()
);

#[test]
fn the_matrix_holds_if_this_file_compiles() {
    // The assertions above are constants; this test is their place in the list.
}
