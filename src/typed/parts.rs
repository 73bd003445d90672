//! The parts of a run, given or missing: what a runner does not run without.
//!
//! A runner is generic over each of its parts: a placeholder such as [`NoPlan`] stands for one that is missing, and [`Given`]
//! holds one that was given. The traits are private: no other crate can claim that a part was given.

use crate::plan::{Plan, Target};

/// A part of a run that was given to its runner.
#[derive(Debug, Clone, Copy)]
pub struct Given<T>(pub(in crate::typed) T);

/// Implemented by the placeholder of a missing part: the setter of the part requires it.
#[diagnostic::on_unimplemented(
    message = "this run was given this part already",
    label = "remove one of the two calls: the second would silently replace the first",
    note = "a run is given each of its parts once; several kill switches go in as one: `.kill_switch((one, other))`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#a-part-given-twice"
)]
pub trait NotGiven {}

/// Defines the placeholder of a missing part, and the trait of the part that was given.
macro_rules! part {
    (
        $(#[$about_place:meta])* $place:ident;
        $(#[$about_trait:meta])* $has:ident $(<$part:ident>)?: $given:ty
    ) => {
        $(#[$about_place])*
        #[derive(Debug, Clone, Copy)]
        pub struct $place;

        impl NotGiven for $place {}

        $(#[$about_trait])*
        pub trait $has {
            type Part;
            fn part(&mut self) -> &mut Self::Part;
            fn into_part(self) -> Self::Part;
        }

        #[diagnostic::do_not_recommend]
        impl$(<$part>)? $has for Given<$given> {
            type Part = $given;

            fn part(&mut self) -> &mut Self::Part {
                &mut self.0
            }

            fn into_part(self) -> Self::Part {
                self.0
            }
        }
    };
}

part! {
    /// Where a plan is still to be given: [`LiveRunner::plan`](crate::LiveRunner::plan).
    NoPlan;
    #[diagnostic::on_unimplemented(
        message = "this live run has no plan",
        label = "give it one before `run`: `.plan(plan)`",
        note = "a plan comes from a dry run or a rehearsal, and is read back by `Plan::from_file(path, approved_digest)`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-plan"
    )]
    HasPlan: Plan
}

part! {
    /// Where a kill switch is still to be given: [`LiveRunner::kill_switch`](crate::LiveRunner::kill_switch).
    NoKillSwitch;
    #[diagnostic::on_unimplemented(
        message = "this live run has no kill switch",
        label = "give it one before `run`: `.kill_switch(switch)`",
        note = "`LeaseSwitch` is the database's, `FileSwitch` a file, `InProcessSwitch` a value of the program; a tuple is ON where all of its switches are",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-kill-switch"
    )]
    HasKillSwitch<K>: K
}

part! {
    /// Where an approval authority is still to be given: [`LiveRunner::authority`](crate::LiveRunner::authority).
    NoAuthority;
    #[diagnostic::on_unimplemented(
        message = "this live run has no authority that its gates could be approved by",
        label = "give it one before `run`: `.authority(authority)`",
        note = "`AdmittedApprovals` reads the approvals that an operator has admitted to the database, `SignedApprovals` (feature `ssh`) signed files",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-authority"
    )]
    HasAuthority<A>: A
}

part! {
    /// Where a connector is still to be given: [`LiveRunner::connector`](crate::LiveRunner::connector),
    /// [`RehearsalRunner::connector`](crate::RehearsalRunner::connector).
    NoConnector;
    #[diagnostic::on_unimplemented(
        message = "this run has no connector to its database",
        label = "give it one before `run`: `.connector(connector)`",
        note = "of a `postgres::Config`, make one with `PostgresConnector::no_tls(config)` or `PostgresConnector::tls(config, tls)`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-connector"
    )]
    HasConnector<C>: C
}

part! {
    /// Where an adapter is still to be given: [`LiveRunner::adapter`](crate::LiveRunner::adapter),
    /// [`RehearsalRunner::adapter`](crate::RehearsalRunner::adapter).
    NoAdapter;
    #[diagnostic::on_unimplemented(
        message = "this run has no adapter",
        label = "give it one before `run`: `.adapter(adapter)`",
        note = "a live adapter implements `Execute<S>` for every phase `S` of the pipeline",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-adapter"
    )]
    HasAdapter<W>: W
}

part! {
    /// Where a simulator is still to be given: [`DryRunner::simulator`](crate::DryRunner::simulator).
    NoSimulator;
    #[diagnostic::on_unimplemented(
        message = "this dry run has no simulator",
        label = "give it one before `run`: `.simulator(simulator)`",
        note = "a simulator implements `Simulate<S>` for every phase `S` of the pipeline",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-simulator"
    )]
    HasSimulator<W>: W
}

part! {
    /// Where a target is still to be given: [`DryRunner::target`](crate::DryRunner::target).
    NoTarget;
    #[diagnostic::on_unimplemented(
        message = "this dry run does not say which database its plan is for",
        label = "say it before `run`: `.target(target)`",
        note = "`Target::identify(&mut client)` reads it from the server; a live run is refused on any other",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#no-target"
    )]
    HasTarget: Target
}
