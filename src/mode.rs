//! The three ways in which a phase can be performed, as types.
//!
//! A boolean called `dry_run` can be forgotten, inverted, or read in one branch and not in the
//! next. Here the mode is part of the type of everything that a run touches: the phase, its
//! approval, its receipts, and the run itself. Code generic over [`Mode`] is written once and runs
//! in all of them; nothing that it is given by the run makes it need to ask which one it is in.

use std::fmt;

use crate::gate::{And, Approvable, Approved, Requirement, Unapproved};
use crate::kill_switch::{KillSwitchOn, NoSwitch};
use crate::sealed;

/// The mode in which nothing is touched: phases are performed by a simulator, which is never given
/// a connection, and the run leaves a [`Plan`](crate::Plan).
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum DryRun {}

/// The mode in which the real work is done and none of it kept: each phase is performed by the live
/// adapter, in a real transaction, which is always rolled back.
///
/// What comes of it is measured, not predicted; see [`RehearsalRunner`](crate::RehearsalRunner).
/// It takes real locks, moves real sequences, and runs whatever the adapter runs: it is no
/// [`DryRun`]. A receipt of it opens nothing live.
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum Rehearsal {}

/// The mode in which data changes: each phase is one transaction, performed by a live adapter.
///
/// Uninhabited: it exists only as a type.
#[derive(Debug)]
pub enum Live {}

/// A mode: [`DryRun`], [`Rehearsal`] or [`Live`], and nobody else's to add.
///
/// | | `DryRun` | `Rehearsal` | `Live` |
/// |---|---|---|---|
/// | [`Switch`](Mode::Switch) | [`NoSwitch`] | [`NoSwitch`] | [`KillSwitchOn`] |
/// | [`Approval`](Mode::Approval) | [`Unapproved`] | [`Unapproved`] | [`Approved`] |
/// | performed by | [`Simulate`](crate::Simulate) | [`Execute`](crate::Execute) | [`Execute`](crate::Execute) |
/// | the database | is not asked | rolls everything back | commits each phase |
/// | what it leaves | a plan, with effects predicted | a plan, with effects measured | the data, changed |
///
/// A rehearsal needs no approval, because it is what an approval is informed by.
///
/// ```compile_fail,E0277
/// enum ReallyDry {}
/// impl phasegate::Mode for ReallyDry {} // sealed
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a mode of phasegate",
    label = "not `DryRun`, not `Rehearsal`, not `Live`"
)]
pub trait Mode: sealed::Mode + Sized + 'static {
    /// `"dry run"`, `"rehearsal"` or `"live"`, for people.
    const NAME: &'static str;

    /// What a phase of this mode demands of the kill switch.
    type Switch<'run>;

    /// What a phase of this mode demands as approval of `R`.
    type Approval<'run, R: Requirement>: fmt::Debug;

    /// Joins two approvals into the approval of both, in this order.
    ///
    /// For pipelines that are generic over the mode; in a live one,
    /// [`Approved::and`] says the same.
    fn and<'run, A: Approvable, B: Approvable>(
        first: Self::Approval<'run, A>,
        second: Self::Approval<'run, B>,
    ) -> Self::Approval<'run, And<A, B>>;
}

impl Mode for DryRun {
    const NAME: &'static str = "dry run";
    type Switch<'run> = NoSwitch;
    type Approval<'run, R: Requirement> = Unapproved<R>;

    fn and<'run, A: Approvable, B: Approvable>(
        _: Self::Approval<'run, A>,
        _: Self::Approval<'run, B>,
    ) -> Self::Approval<'run, And<A, B>> {
        Unapproved::new()
    }
}

impl Mode for Rehearsal {
    const NAME: &'static str = "rehearsal";
    type Switch<'run> = NoSwitch;
    type Approval<'run, R: Requirement> = Unapproved<R>;

    fn and<'run, A: Approvable, B: Approvable>(
        _: Self::Approval<'run, A>,
        _: Self::Approval<'run, B>,
    ) -> Self::Approval<'run, And<A, B>> {
        Unapproved::new()
    }
}

impl Mode for Live {
    const NAME: &'static str = "live";
    type Switch<'run> = KillSwitchOn<'run>;
    type Approval<'run, R: Requirement> = Approved<'run, R>;

    fn and<'run, A: Approvable, B: Approvable>(
        first: Self::Approval<'run, A>,
        second: Self::Approval<'run, B>,
    ) -> Self::Approval<'run, And<A, B>> {
        first.and(second)
    }
}
