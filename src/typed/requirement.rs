//! What a phase requires, and the witness that it was approved.

use std::fmt;
use std::marker::PhantomData;

use super::brand::Brand;
use super::mode::{Live, Mode};
use crate::authority::{Gate, Sg1, Sg2};

/// No approval is needed.
///
/// It is both what a phase declares (`type Gate = Ungated;`) and the value that stands in the
/// approval's place when that phase is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ungated;

/// Both `A` and `B` are needed, in this order.
///
/// Its approval is made by [`Approval::and`].
pub struct And<A, B>(PhantomData<fn() -> (A, B)>);

impl<A, B> fmt::Debug for And<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("And")
    }
}

/// What can be approved: a [`Gate`], or [`And`] of two that can; not [`Ungated`]. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that can be approved",
    label = "not a gate, not `And<_, _>` of gates",
    note = "name the gate, as in `run.approval::<Sg1>()`; a phase behind no gate is performed with `Ungated`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#what-cannot-be-approved"
)]
pub trait Approvable: Requirement {}

impl<G: Gate> Approvable for G {}
impl<A: Approvable, B: Approvable> Approvable for And<A, B> {}

/// What a phase can require: a [`Gate`], [`And`] of what can be approved, or [`Ungated`].
///
/// `()` is not one: that no approval is needed must be written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a phase requires",
    label = "not a gate, not `And<_, _>` of gates, not `Ungated`",
    note = "name the gate: `Sg1`, `Sg2`, or a type of your own that implements `Gate`; for several gates, `And<Sg1, Sg2>`",
    note = "for a phase that needs no approval, write `type Gate = Ungated;`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-a-gate"
)]
pub trait Requirement: sealed::Requirement + 'static {
    /// What a phase of mode `M` demands: [`Approval<'run, Self, M>`](Approval), or [`Ungated`] where nothing is required.
    type Witness<'run, M: Mode>;
}

impl<G: Gate> Requirement for G {
    type Witness<'run, M: Mode> = Approval<'run, G, M>;
}

impl<A: Approvable, B: Approvable> Requirement for And<A, B> {
    type Witness<'run, M: Mode> = Approval<'run, And<A, B>, M>;
}

impl Requirement for Ungated {
    type Witness<'run, M: Mode> = Ungated;
}

impl<G: Gate> sealed::Requirement for G {
    fn add_gates(gates: &mut Vec<&'static str>) {
        gates.push(G::NAME);
    }
}

impl<A: Approvable, B: Approvable> sealed::Requirement for And<A, B> {
    fn add_gates(gates: &mut Vec<&'static str>) {
        A::add_gates(gates);
        B::add_gates(gates);
    }
}

impl sealed::Requirement for Ungated {
    fn add_gates(_: &mut Vec<&'static str>) {}
}

/// Returns the names of the gates of `R`, in order.
pub(in crate::typed) fn gate_names<R: Requirement>() -> Vec<&'static str> {
    let mut names = Vec::new();
    R::add_gates(&mut names);
    names
}

/// Holding one of mode [`Live`] proves that, in this run, the run's [`Authority`](crate::approval::Authority) attested that `G`
/// was approved for this very plan on this very target, when it was asked about one phase of it, and that the
/// attestation had not expired. The type binds gate, mode and run; the engine accepts it for that phase only.
///
/// In a [`DryRun`](crate::DryRun) and a [`Rehearsal`](crate::Rehearsal) it proves nothing and opens nothing live: the mode
/// is in its type. It names the gate there too, so that a pipeline that takes the approval of the wrong one does not
/// compile in any mode.
///
/// Returned by [`Run::approval`](crate::Run::approval), and by [`and`](Approval::and), which joins two. It is affine: performing a phase
/// consumes it. It cannot leave its run, be cloned, compared, deserialized or sent to another thread. The engine checks it
/// again before the phase begins: an expiry may have passed since.
///
/// It costs nothing at run time: its size is zero. What was attested stays with the run, and can be read with
/// [`Run::attestations`](crate::Run::attestations). It prevents accidents and makes intent greppable; it does not stop
/// hostile code in the same process (see [the limits](crate#what-this-does-not-protect-from)).
///
/// ```compile_fail,E0277
/// // An approval cannot be written by hand.
/// let forged: phasegate::Sg1Approved<'_> = Default::default();
/// ```
#[must_use = "an approval that no phase consumes approves nothing"]
pub struct Approval<'run, G, M: Mode> {
    // Invariant: of two gates of which one is a subtype of the other, neither opens the other.
    _gate: PhantomData<fn(G) -> G>,
    _mode: PhantomData<fn(M) -> M>,
    brand: Brand<'run>,
}

/// Holding one proves that `SG_1` was approved; see [`Approval`].
pub type Sg1Approved<'run> = Approval<'run, Sg1, Live>;

/// Holding one proves that `SG_2` was approved; see [`Approval`].
pub type Sg2Approved<'run> = Approval<'run, Sg2, Live>;

impl<'run, A: Approvable, M: Mode> Approval<'run, A, M> {
    /// Joins both approvals into one, for a phase whose gate is [`And`], in this order.
    pub fn and<B: Approvable>(self, _: Approval<'run, B, M>) -> Approval<'run, And<A, B>, M> {
        Approval::mint(self.brand)
    }
}

impl<'run, G, M: Mode> Approval<'run, G, M> {
    /// Called by [`Run::approval`](crate::Run::approval), once the engine has checked the attestation, and by [`and`](Self::and).
    pub(in crate::typed) fn mint(brand: Brand<'run>) -> Self {
        Approval {
            _gate: PhantomData,
            _mode: PhantomData,
            brand,
        }
    }
}

impl<G, M: Mode> fmt::Debug for Approval<'_, G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approval(..)")
    }
}

/// Private, so that no other crate can add a requirement that is not a gate.
pub(in crate::typed) mod sealed {
    /// Only gates, `And` of them, and `Ungated`.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` does not say what a phase requires",
        label = "not a gate, not `And<_, _>` of gates, not `Ungated`",
        note = "name the gate: `Sg1`, `Sg2`, or a type of your own that implements `Gate`; for several gates, `And<Sg1, Sg2>`",
        note = "for a phase that needs no approval, write `type Gate = Ungated;`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-a-gate"
    )]
    pub trait Requirement {
        fn add_gates(gates: &mut Vec<&'static str>);
    }
}
