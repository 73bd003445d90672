//! A phase that has everything that it demands.

use std::fmt;
use std::marker::PhantomData;

use super::mode::{DryRun, Live, Mode, Rehearsal};
use super::spec::{PhaseSpec, Receipts, Witness, full_name};
use super::switch::{KillSwitchOn, Switch};

/// Holding one proves that everything a phase of mode `M` demands is at hand: the spec, the switch,
/// the approval and the receipts of what comes before, all of this run.
///
/// Whether the *present* still agrees is the engine's to check when it is performed, by
/// [`Run::perform`](crate::Run::perform) or [`Run::attempt`](crate::Run::attempt). [`Run::phase`](crate::Run::phase) says the same in one line.
#[must_use = "a phase does nothing until a run performs it"]
pub struct Phase<'r, 'run, S: PhaseSpec, M: Mode, A = Witness<'run, S, M>> {
    pub(in crate::typed) spec: S,
    on: PhantomData<&'r Switch<'run, M>>,
    // Its type is the proof: to whoever holds it the engine has said yes, and remembers to what.
    _approved: A,
    pub(in crate::typed) after: Receipts<'r, 'run, S, M>,
}

impl<'r, 'run: 'r, S: PhaseSpec, M: Mode> Phase<'r, 'run, S, M> {
    /// A phase of any mode, for pipelines that are generic over it.
    pub fn new(
        spec: S,
        _on: &'r Switch<'run, M>,
        approved: Witness<'run, S, M>,
        after: Receipts<'r, 'run, S, M>,
    ) -> Self {
        Phase {
            spec,
            on: PhantomData,
            _approved: approved,
            after,
        }
    }

    /// Its name in the plan and in every message.
    pub fn name(&self) -> String {
        full_name(&self.spec)
    }

    /// Its input, as it was given.
    pub fn spec(&self) -> &S {
        &self.spec
    }
}

impl<'r, 'run: 'r, S: PhaseSpec> Phase<'r, 'run, S, Live> {
    /// A live phase. It cannot be built without a switch that was ON, the approval that the
    /// phase's gate demands, and the live receipts of what comes before.
    ///
    /// ```compile_fail
    /// # use phasegate::*;
    /// # use serde::{Serialize, Deserialize};
    /// # #[derive(Serialize, Deserialize)] struct Cut;
    /// # impl PhaseSpec for Cut {
    /// #     const NAME: &'static str = "cut"; type Gate = Sg1; type After = Start; type Output = ();
    /// # }
    /// fn cut<'run>(on: &KillSwitchOn<'run>) {
    ///     let _ = Phase::live(Cut, on, Ungated, Start); // expected `Approval<'_, Sg1, Live>`, found `Ungated`
    /// }
    /// ```
    pub fn live(
        spec: S,
        on: &'r KillSwitchOn<'run>,
        approved: Witness<'run, S, Live>,
        after: Receipts<'r, 'run, S, Live>,
    ) -> Self {
        Phase::new(spec, on, approved, after)
    }
}

impl<'r, 'run: 'r, S: PhaseSpec> Phase<'r, 'run, S, DryRun> {
    /// A phase of a dry run; see [`Phase::live`].
    pub fn dry_run(
        spec: S,
        on: &'r Switch<'run, DryRun>,
        approved: Witness<'run, S, DryRun>,
        after: Receipts<'r, 'run, S, DryRun>,
    ) -> Self {
        Phase::new(spec, on, approved, after)
    }
}

impl<'r, 'run: 'r, S: PhaseSpec> Phase<'r, 'run, S, Rehearsal> {
    /// A phase of a rehearsal; see [`Phase::live`].
    pub fn rehearsal(
        spec: S,
        on: &'r Switch<'run, Rehearsal>,
        approved: Witness<'run, S, Rehearsal>,
        after: Receipts<'r, 'run, S, Rehearsal>,
    ) -> Self {
        Phase::new(spec, on, approved, after)
    }
}

impl<S: PhaseSpec, M: Mode, A> fmt::Debug for Phase<'_, '_, S, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phase({}, {})", full_name(&self.spec), M::NAME)
    }
}
