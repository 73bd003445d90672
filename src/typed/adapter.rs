//! The performers of phases: a simulator in a dry run, a live adapter in a live run and in a rehearsal.

use super::mode::{DryRun, Live, Mode, Rehearsal};
use super::spec::{PhaseSpec, Prior};
use crate::database::PhaseTx;
use crate::outcome::Failure;
use crate::plan::Effects;

/// A simulator of phase `S`, which performs it in a dry run: never called in a live run or a rehearsal, and never
/// given a transaction.
///
/// It predicts what the live adapter would return, and the effects on each table: the predicted effects stand in the
/// plan, and a live phase has exactly these, within their tolerance, or is rolled back. The engine gives it no
/// connection; the engine does not control side effects of its own.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct CloseAccounts { numbers: Vec<String> }
/// # impl PhaseSpec for CloseAccounts {
/// #     const NAME: &'static str = "close"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// struct Predict;
/// impl Simulate<CloseAccounts> for Predict {
///     fn simulate(&mut self, close: &CloseAccounts, _: (), effects: &mut Effects) -> Result<u64, Failure> {
///         let accounts = close.numbers.len() as u64;
///         effects.update("bank.account", accounts);
///         effects.insert("bank.account_log", accounts);   // a trigger does that
///         Ok(accounts)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a simulator of phase `{S}`",
    label = "missing: `impl Simulate<{S}> for {Self}`",
    note = "`Simulate` performs a phase in a dry run, `Execute` performs it live and in a rehearsal",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-performed-in-this-mode"
)]
pub trait Simulate<S: PhaseSpec> {
    /// Predicts the output of performing `spec`, and adds to `effects` the effects on each table, including those of
    /// triggers and functions. An empty `effects` predicts no change.
    ///
    /// # Errors
    ///
    /// Returns a [`Failure`], from any error by `?`, with the failed row if there is one.
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure>;
}

/// A live adapter of phase `S`, which performs it in the phase's transaction: never called in a dry run.
///
/// The adapter borrows the transaction and cannot end it: its return value decides. On `Err`, and on a panic, the
/// transaction is rolled back. A rehearsal calls the adapter in the same way as a live run, and rolls its effects back
/// at the end of the run in any case; the adapter cannot tell the two apart.
///
/// ```compile_fail
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Ungated; type After = Start; type Output = ();
/// # }
/// struct Hasty;
/// impl Execute<Cut> for Hasty {
///     fn execute(&mut self, _: &Cut, _: (), tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
///         tx.commit(); // no such method
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a live adapter of phase `{S}`",
    label = "missing: `impl Execute<{S}> for {Self}`",
    note = "`Execute` performs a phase live and in a rehearsal, `Simulate` performs it in a dry run",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-performed-in-this-mode"
)]
pub trait Execute<S: PhaseSpec> {
    /// Performs `spec` in the transaction `tx`.
    ///
    /// # Errors
    ///
    /// Returns a [`Failure`], from any error by `?`, with the failed row if there is one.
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure>;
}

#[diagnostic::do_not_recommend]
impl<S: PhaseSpec, W: Simulate<S> + ?Sized> Simulate<S> for &mut W {
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        (**self).simulate(spec, prior, effects)
    }
}

#[diagnostic::do_not_recommend]
impl<S: PhaseSpec, W: Execute<S> + ?Sized> Execute<S> for &mut W {
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        (**self).execute(spec, prior, tx)
    }
}

#[diagnostic::do_not_recommend]
impl<S: PhaseSpec, W: Simulate<S> + ?Sized> Simulate<S> for Box<W> {
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        (**self).simulate(spec, prior, effects)
    }
}

#[diagnostic::do_not_recommend]
impl<S: PhaseSpec, W: Execute<S> + ?Sized> Execute<S> for Box<W> {
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        (**self).execute(spec, prior, tx)
    }
}

/// Performs phase `S` in mode `M`: [`Simulate<S>`] in [`DryRun`], [`Execute<S>`] in [`Rehearsal`] and
/// [`Live`].
///
/// Never implemented by hand: it is the bound by which a generic pipeline requires a performer for its phases.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// fn pipeline<'run, M: Mode, W: Perform<M, Cut>>(
///     run: &mut Run<'run, M, W>,
///     on: &Switch<'run, M>,
/// ) -> Result<u64, Error> {
///     let sg1 = run.approval()?;
///     Ok(run.phase(Cut).perform(on, sg1, Start)?.into_output())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not perform phase `{S}` in mode `{M}`",
    label = "nothing in `{Self}` performs `{S}` in mode `{M}`",
    note = "in `DryRun` a phase is performed by a simulator: `impl Simulate<{S}> for {Self}`",
    note = "in `Live` and in `Rehearsal` a phase is performed by a live adapter: `impl Execute<{S}> for {Self}`",
    note = "a pipeline that is generic over the mode says it in its bounds: `{Self}: Perform<{M}, {S}>`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-performed-in-this-mode"
)]
pub trait Perform<M: Mode, S: PhaseSpec>: sealed::Perform<M, S> {}

impl<S: PhaseSpec, W: Simulate<S>> Perform<DryRun, S> for W {}
impl<S: PhaseSpec, W: Execute<S>> Perform<Rehearsal, S> for W {}
impl<S: PhaseSpec, W: Execute<S>> Perform<Live, S> for W {}

impl<S: PhaseSpec, W: Simulate<S>> sealed::Perform<DryRun, S> for W {
    fn perform(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        self.simulate(spec, prior, effects)
    }
}

impl<S: PhaseSpec, W: Execute<S>> sealed::Perform<Live, S> for W {
    fn perform(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.execute(spec, prior, tx)
    }
}

impl<S: PhaseSpec, W: Execute<S>> sealed::Perform<Rehearsal, S> for W {
    fn perform(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.execute(spec, prior, tx)
    }
}

/// Private, so that only this module decides which trait performs a phase in which mode.
pub(in crate::typed) mod sealed {
    use super::{Failure, PhaseSpec, Prior};
    use crate::typed::mode::sealed::Mode;

    /// Holds only for `Simulate` in `DryRun`, and for `Execute` in `Rehearsal` and `Live`.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` does not perform phase `{S}` in mode `{M}`",
        label = "nothing in `{Self}` performs `{S}` in mode `{M}`",
        note = "in `DryRun` a phase is performed by a simulator: `impl Simulate<{S}> for {Self}`",
        note = "in `Live` and in `Rehearsal` a phase is performed by a live adapter: `impl Execute<{S}> for {Self}`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-performed-in-this-mode"
    )]
    pub trait Perform<M: Mode, S: PhaseSpec> {
        fn perform(
            &mut self,
            spec: &S,
            prior: Prior<'_, S>,
            context: &mut M::Context<'_>,
        ) -> Result<S::Output, Failure>;
    }
}
