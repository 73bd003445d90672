//! How one attempt at a phase ended, with the phase if it can be attempted again.

use std::fmt;

use super::mode::Mode;
use super::phase::Phase;
use super::receipt::Receipt;
use super::spec::PhaseSpec;
use crate::outcome::{Error, InDoubt, Refusal, Rollback};

/// How an attempt at a phase ended. A phase that left nothing behind comes back, with its approval,
/// and can be attempted again.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Cut;
/// # impl PhaseSpec for Cut {
/// #     const NAME: &'static str = "cut"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// /// Waits for an answer of the server, if the commit is in doubt, and goes on.
/// fn cut<'run, M: Mode, W: Perform<M, Cut>>(
///     run: &mut Run<'run, M, W>,
///     on: &Switch<'run, M>,
/// ) -> Result<u64, Error> {
///     match run.phase(Cut).attempt(on, Ungated, Start) {
///         Attempt::InDoubt(unresolved) => {
///             let resolved = run.resolve(unresolved, std::time::Duration::from_secs(600));
///             Ok(resolved.into_result()?.into_output())
///         }
///         other => Ok(other.into_result()?.into_output()),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "an attempt may have failed, or be in doubt"]
pub enum Attempt<'r, 'run, S: PhaseSpec, M: Mode> {
    /// It was performed; live, it is committed.
    Performed(Receipt<'run, S, M>),
    /// A check failed, and this attempt changed nothing. (A phase that an earlier run committed is refused too, if what it
    /// left cannot be read back.)
    Refused {
        /// The phase, as it was.
        phase: Phase<'r, 'run, S, M>,
        /// Which check.
        refusal: Refusal,
    },
    /// It failed, and left nothing behind.
    RolledBack {
        /// The phase, as it was.
        phase: Phase<'r, 'run, S, M>,
        /// Why, and at which row.
        rollback: Rollback,
    },
    /// The answer to the commit was lost. The phase does not come back before that is resolved: it
    /// may be committed.
    InDoubt(UnresolvedPhase<'r, 'run, S, M>),
}

/// A phase whose commit is in doubt, kept until that is resolved by
/// [`Run::resolve`](crate::Run::resolve).
#[must_use = "a commit in doubt has to be resolved before anything else is done"]
pub struct UnresolvedPhase<'r, 'run, S: PhaseSpec, M: Mode> {
    phase: Phase<'r, 'run, S, M>,
    doubt: InDoubt,
}

impl<'r, 'run, S: PhaseSpec, M: Mode> UnresolvedPhase<'r, 'run, S, M> {
    pub(in crate::typed) fn new(phase: Phase<'r, 'run, S, M>, doubt: InDoubt) -> Self {
        UnresolvedPhase { phase, doubt }
    }

    pub(in crate::typed) fn into_parts(self) -> (Phase<'r, 'run, S, M>, InDoubt) {
        (self.phase, self.doubt)
    }

    /// Returns what is in doubt: which attempt, on which server.
    pub fn doubt(&self) -> &InDoubt {
        &self.doubt
    }
}

impl<S: PhaseSpec, M: Mode> fmt::Debug for UnresolvedPhase<'_, '_, S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnresolvedPhase({})", self.doubt)
    }
}

impl<'run, S: PhaseSpec, M: Mode> Attempt<'_, 'run, S, M> {
    /// The receipt, or the error, as [`Run::perform`](crate::Run::perform) returns it.
    ///
    /// # Errors
    ///
    /// Whatever kept the phase from being performed.
    pub fn into_result(self) -> Result<Receipt<'run, S, M>, Error> {
        match self {
            Attempt::Performed(receipt) => Ok(receipt),
            Attempt::Refused { refusal, .. } => Err(refusal.into()),
            Attempt::RolledBack { rollback, .. } => Err(rollback.into()),
            Attempt::InDoubt(unresolved) => Err(unresolved.doubt.into()),
        }
    }
}
