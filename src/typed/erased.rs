//! Phases whose type is known only at run time.

use super::adapter::Perform;
use super::mode::Mode;
use super::phase::Phase;
use super::run::Run;
use super::spec::{PhaseSpec, Witness};
use crate::outcome::Error;

impl<'r, 'run: 'r, S: PhaseSpec, M: Mode> Phase<'r, 'run, S, M> {
    /// Erases the type of the phase, not its mode: for pipelines whose phases are known only at run time. An erased
    /// phase returns no receipt, so no phase can come after it by type.
    pub fn erase<W>(self) -> Box<dyn ErasedPhase<'run, M, W> + 'r>
    where
        W: Perform<M, S>,
        Witness<'run, S, M>: 'r,
    {
        Box::new(self)
    }
}

/// A phase whose type is erased, but whose mode, run and performer are known.
///
/// ```
/// # use phasegate::{*, runner::ErasedPhase};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Batch(u32);
/// # impl PhaseSpec for Batch {
/// #     const NAME: &'static str = "batch";
/// #     type Gate = Ungated; type After = Start; type Output = ();
/// #     fn instance(&self) -> Option<String> { Some(self.0.to_string()) }
/// # }
/// fn all<'run, M: Mode, W: Perform<M, Batch>>(
///     run: &mut Run<'run, M, W>,
///     on: &Switch<'run, M>,
/// ) -> Result<(), Error> {
///     let batches: Vec<Box<dyn ErasedPhase<'run, M, W> + '_>> =
///         (1..=3).map(|n| Phase::new(Batch(n), on, Ungated, Start).erase()).collect();
///     for batch in batches {
///         batch.perform(run)?;
///     }
///     Ok(())
/// }
/// ```
///
/// Sealed: only [`Phase::erase`] makes one.
pub trait ErasedPhase<'run, M: Mode, W>: sealed::ErasedPhase {
    /// Returns its name in the plan and in every message.
    fn name(&self) -> String;

    /// Performs the phase, as [`Run::perform`] would.
    ///
    /// # Errors
    ///
    /// As [`Run::perform`].
    fn perform(self: Box<Self>, run: &mut Run<'run, M, W>) -> Result<(), Error>;
}

impl<S: PhaseSpec, M: Mode> sealed::ErasedPhase for Phase<'_, '_, S, M> {}

impl<'r, 'run: 'r, S: PhaseSpec, M: Mode, W: Perform<M, S>> ErasedPhase<'run, M, W>
    for Phase<'r, 'run, S, M>
{
    fn name(&self) -> String {
        Phase::name(self)
    }

    fn perform(self: Box<Self>, run: &mut Run<'run, M, W>) -> Result<(), Error> {
        run.perform(*self).map(drop)
    }
}

mod sealed {
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not an erased phase",
        label = "not made by `Phase::erase`",
        note = "build the phase with everything that it demands, then erase it: `Phase::new(spec, on, approved, after).erase()`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#a-custom-erased-phase"
    )]
    pub trait ErasedPhase {}
}
