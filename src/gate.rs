//! Gates, and the witnesses that one was passed.

use std::fmt;
use std::marker::PhantomData;

use crate::mode::Mode;
use crate::run::Brand;
use crate::sealed;

/// A named approval that a phase needs.
///
/// A gate is a type without values, so that a signature can name it. [`Sg1`] and [`Sg2`] come with
/// the crate; add your own:
///
/// ```
/// /// The data protection officer has agreed.
/// enum Privacy {}
/// impl phasegate::Gate for Privacy {
///     const NAME: &'static str = "PRIVACY";
/// }
/// ```
///
/// The name is what people approve, what stands in the plan, and what an
/// [`Authority`](crate::Authority) is asked about. Two types with one name are one gate to all of
/// these, though not to the compiler.
pub trait Gate: 'static {
    /// The gate's name, as people know it.
    const NAME: &'static str;
}

/// The gate `SG_1`: the cut may be written.
#[derive(Debug)]
pub enum Sg1 {}

/// The gate `SG_2`: what was written may be enacted.
#[derive(Debug)]
pub enum Sg2 {}

impl Gate for Sg1 {
    const NAME: &'static str = "SG_1";
}

impl Gate for Sg2 {
    const NAME: &'static str = "SG_2";
}

/// No approval is needed, said in so many letters.
///
/// It is both what a phase declares (`type Gate = Ungated;`) and the value that stands in the
/// approval's place when that phase is performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ungated;

/// Both `A` and `B` are needed, in this order.
///
/// Got by [`Approved::and`], or by [`Mode::and`] in code that is generic over the mode.
pub struct And<A, B>(PhantomData<fn() -> (A, B)>);

impl<A, B> fmt::Debug for And<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("And")
    }
}

/// What can be approved: a [`Gate`], or [`And`] of two that can; not [`Ungated`]. Sealed.
pub trait Approvable: Requirement + sealed::Approvable {}

impl<G: Gate> Approvable for G {}
impl<A: Approvable, B: Approvable> Approvable for And<A, B> {}
impl<G: Gate> sealed::Approvable for G {}
impl<A: Approvable, B: Approvable> sealed::Approvable for And<A, B> {}

/// What a phase can require: a [`Gate`], [`And`] of two requirements, or [`Ungated`].
///
/// `()` is not one: that no approval is needed must be written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a phase requires",
    label = "not a gate, not `And<_, _>` of gates, not `Ungated`",
    note = "name the gate: `Sg1`, `Sg2`, or a type of yours with `impl Gate for {Self} {{ const NAME: &'static str = \"..\"; }}`",
    note = "a phase that needs no approval says so in so many letters: `type Gate = Ungated;`"
)]
pub trait Requirement: sealed::Requirement + 'static {
    /// What a phase of mode `M` demands in evidence: `Approved<'run, Self>` live, `Unapproved` in a
    /// dry run and in a rehearsal, and `Ungated` in all of them where nothing is required.
    type Witness<'run, M: Mode>;
}

impl<G: Gate> Requirement for G {
    type Witness<'run, M: Mode> = M::Approval<'run, G>;
}

impl<A: Approvable, B: Approvable> Requirement for And<A, B> {
    type Witness<'run, M: Mode> = M::Approval<'run, And<A, B>>;
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

/// Stands where an approval of `R` would stand, in a dry run and in a rehearsal, which need none.
///
/// It names the gate, so that a pipeline which takes the approval of the wrong one does not compile
/// there either. It proves nothing and opens nothing live: there the type is [`Approved`]. Unlike that
/// one it has no run, and may be kept beyond the one that gave it.
pub struct Unapproved<R: Requirement>(PhantomData<fn(R) -> R>);

impl<R: Requirement> Unapproved<R> {
    pub(crate) fn new() -> Self {
        Unapproved(PhantomData)
    }
}

impl<R: Requirement> fmt::Debug for Unapproved<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unapproved")
    }
}

/// Holding one proves that, in this run, the run's [`Authority`](crate::Authority) attested that
/// `R` was approved for this very plan on this very target, when it was asked about one phase of it,
/// and that the attestation had not expired. It opens that phase and no other.
///
/// Got from [`Run::approval`](crate::Run::approval), the only place that makes one. It is affine:
/// performing a phase consumes it. It cannot leave its run, be cloned, compared or deserialized.
/// The engine checks it again before the phase begins: an expiry may have passed since.
///
/// It costs nothing at run time: its size is zero. What was attested stays with the run, and can be
/// read with [`Run::attestations`](crate::Run::attestations). It stops accidents
/// and makes intent greppable; it does not stop hostile code in the same process (see
/// [the limits](crate#what-this-does-not-protect-from)).
///
/// ```compile_fail
/// // Nobody writes an approval by hand.
/// let forged: phasegate::Sg1Approved<'_> = Default::default();
/// ```
#[must_use = "an approval that no phase consumes approves nothing"]
pub struct Approved<'run, R: Requirement> {
    // Invariant: of two gates of which one is a subtype of the other, neither opens the other.
    requirement: PhantomData<fn(R) -> R>,
    brand: Brand<'run>,
}

/// Holding one proves that `SG_1` was approved; see [`Approved`].
pub type Sg1Approved<'run> = Approved<'run, Sg1>;

/// Holding one proves that `SG_2` was approved; see [`Approved`].
pub type Sg2Approved<'run> = Approved<'run, Sg2>;

impl<'run, R: Approvable> Approved<'run, R> {
    /// Both approvals as one, for a phase whose gate is [`And`].
    pub fn and<B: Approvable>(self, _: Approved<'run, B>) -> Approved<'run, And<R, B>> {
        Approved {
            requirement: PhantomData,
            brand: self.brand,
        }
    }
}

impl<'run, G: Gate> Approved<'run, G> {
    /// Called by the engine alone, once the attestation was checked against the run.
    pub(crate) fn mint(brand: Brand<'run>) -> Self {
        Approved {
            requirement: PhantomData,
            brand,
        }
    }
}

impl<R: Requirement> fmt::Debug for Approved<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approved(..)")
    }
}
