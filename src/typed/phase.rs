//! A phase that has everything that it demands.

use std::fmt;
use std::marker::PhantomData;

use super::input::SpecInput;
use super::mode::{Live, Mode};
use super::spec::{PhaseSpec, Receipts, Witness};
use super::switch::{KillSwitchOn, Switch};

/// Holding one proves that everything a phase of mode `M` demands is at hand: the spec, the switch,
/// the approval and the receipts of what comes before, all of this run.
///
/// Whether the *present* still agrees is the engine's to check when it is performed, by
/// [`Run::perform`](crate::Run::perform) or [`Run::attempt`](crate::Run::attempt). [`Run::phase`](crate::Run::phase) builds
/// and performs one in one line.
#[must_use = "a phase does nothing until a run performs it"]
pub struct Phase<'r, 'run, S: PhaseSpec, M: Mode> {
    pub(in crate::typed) input: SpecInput<S>,
    _on: PhantomData<&'r Switch<'run, M>>,
    // Its type is the proof. What it stands for is with the engine, which checked the attestation and keeps it.
    _approved: Witness<'run, S, M>,
    pub(in crate::typed) after: Receipts<'r, 'run, S, M>,
}

impl<'r, 'run: 'r, S: PhaseSpec, M: Mode> Phase<'r, 'run, S, M> {
    /// Builds a phase of any mode: of that of `on`.
    pub fn new(
        spec: S,
        _on: &'r Switch<'run, M>,
        approved: Witness<'run, S, M>,
        after: Receipts<'r, 'run, S, M>,
    ) -> Self {
        Phase {
            input: SpecInput::Given(spec),
            _on: PhantomData,
            _approved: approved,
            after,
        }
    }

    /// Its name in the plan and in every message.
    pub fn name(&self) -> String {
        self.input.name()
    }

    /// Returns its input, as it was given; `None` once an attempt has encoded it. From then on the phase has the bytes
    /// only, and each adapter a value that is decoded from these.
    pub fn spec(&self) -> Option<&S> {
        match &self.input {
            SpecInput::Given(spec) => Some(spec),
            SpecInput::Encoded { .. } => None,
        }
    }
}

impl<'r, 'run: 'r, S: PhaseSpec> Phase<'r, 'run, S, Live> {
    /// A live phase. It cannot be built without a switch that was ON, the approval that the
    /// phase's gate demands, and the live receipts of what comes before.
    ///
    /// ```compile_fail,E0308
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

impl<S: PhaseSpec, M: Mode> fmt::Debug for Phase<'_, '_, S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phase({}, {})", self.input.name(), M::NAME)
    }
}
