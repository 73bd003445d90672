//! The token of the kill switch.

use std::fmt;
use std::marker::PhantomData;

use super::brand::Brand;
use super::mode::{Live, Mode};

/// Holding one of mode [`Live`] proves that the kill switch was ON when this run began; see [`KillSwitchOn`].
///
/// A dry run and a rehearsal lend one too, of their own mode, so that a pipeline is written once. It proves nothing: no
/// kill switch concerns a dry run, and a rehearsal needs none to begin. (The database's switch turned OFF ends a
/// rehearsal that is in progress, as it ends a phase.)
///
/// Lent by a runner to the pipeline for as long as the run lasts: it cannot be stored beyond it, cloned or sent to
/// another thread. It costs nothing at run time: its size is zero.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Ungated; type After = Start; type Output = ();
/// # }
/// fn pipeline<'run, M: Mode, W: Perform<M, Cut>>(
///     run: &mut Run<'run, M, W>,
///     on: &Switch<'run, M>,
/// ) -> Result<(), Error> {
///     run.phase(Cut).perform(on, Ungated, Start).map(drop)
/// }
/// ```
pub struct Switch<'run, M: Mode> {
    _mode: PhantomData<fn(M) -> M>,
    _brand: Brand<'run>,
}

/// Holding one proves that the kill switch was ON when this run began.
///
/// Lent by [`LiveRunner::run`](crate::LiveRunner::run), and by nothing else. It is a memory, not the present: the engine
/// reads the switch again before each phase and before each commit.
///
/// ```compile_fail,E0277
/// // The token cannot be written by hand.
/// let forged: phasegate::KillSwitchOn<'_> = Default::default();
/// ```
pub type KillSwitchOn<'run> = Switch<'run, Live>;

impl<'run, M: Mode> Switch<'run, M> {
    /// Called by the three runners alone; by the live one once the switch was read as ON.
    pub(in crate::typed) fn mint(brand: Brand<'run>) -> Self {
        Switch {
            _mode: PhantomData,
            _brand: brand,
        }
    }
}

impl<M: Mode> fmt::Debug for Switch<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switch(..)")
    }
}
