//! Who performs a phase: a simulator in a dry run, a live adapter in a live one and in a rehearsal.

use super::mode::{DryRun, Live, Mode, Rehearsal};
use super::spec::{PhaseSpec, Prior};
use crate::database::PhaseTx;
use crate::outcome::Failure;
use crate::plan::Effects;

/// A simulator: never called in a live run or a rehearsal, and never given a transaction. It performs
/// phase `S` in a dry run.
///
/// It predicts what the live adapter would answer, and what that would do to each table: what it
/// says of that stands in the plan, and live the phase does exactly that or is rolled back. The
/// engine gives it no connection; side effects of its own are its own.
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
    note = "`Simulate` performs a phase in a dry run, `Execute` performs it live and in a rehearsal"
)]
pub trait Simulate<S: PhaseSpec> {
    /// Predicts what performing `spec` would leave, and into `effects` what it would do to each
    /// table, triggers and functions included. An empty `effects` predicts no change.
    ///
    /// # Errors
    ///
    /// A [`Failure`], from any error by `?`, with the row if one is to blame.
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure>;
}

/// A live adapter: never called in a dry run. It performs phase `S`, in the phase's transaction.
///
/// The transaction is lent to it, without its ending: what it returns decides. On `Err`, and on a
/// panic, the transaction is rolled back. In a rehearsal it is called just as it is live, and what it
/// wrote is rolled back at the end of the run whatever it returns; it is not told which it is.
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
    note = "`Execute` performs a phase live and in a rehearsal, `Simulate` performs it in a dry run"
)]
pub trait Execute<S: PhaseSpec> {
    /// Performs `spec` in the transaction `tx`.
    ///
    /// # Errors
    ///
    /// A [`Failure`], from any error by `?`, with the row if one is to blame.
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
/// Never implemented by hand: it is the bound that a pipeline written once puts on what performs
/// it.
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
    label = "missing for `{Self}`: `Simulate` or `Execute` of phase `{S}`",
    note = "in `DryRun` a phase is performed by a simulator: `impl Simulate<{S}> for {Self}`",
    note = "in `Live` and in `Rehearsal` a phase is performed by a live adapter: `impl Execute<{S}> for {Self}`",
    note = "a pipeline that is generic over the mode says it in its bounds: `{Self}: Perform<{M}, {S}>`"
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

/// Private, so that what performs a phase in which mode is decided here.
pub(in crate::typed) mod sealed {
    use super::{Failure, PhaseSpec, Prior};
    use crate::typed::mode::sealed::Mode;

    /// Only what is `Simulate` in `DryRun`, and `Execute` in `Rehearsal` and `Live`.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` does not perform phase `{S}` in mode `{M}`",
        label = "missing for `{Self}`: `Simulate` or `Execute` of phase `{S}`",
        note = "in `DryRun` a phase is performed by a simulator: `impl Simulate<{S}> for {Self}`",
        note = "in `Live` and in `Rehearsal` a phase is performed by a live adapter: `impl Execute<{S}> for {Self}`"
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
