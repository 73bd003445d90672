//! Phases: what they are, what they come after, and the receipts they leave.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::canonical;
use crate::gate::Requirement;
use crate::mode::{DryRun, Live, Mode, Rehearsal};
use crate::outcome::{Error, Invalid, Refusal};
use crate::perform::Perform;
use crate::run::{Brand, Run, Timeouts};
use crate::sealed;

/// What a phase is, apart from how it is performed.
///
/// The value is the phase's input. It is written as canonical JSON, hashed into the plan, and what
/// is performed is the value *read back from those bytes*: a field under `#[serde(skip)]` arrives
/// as its default, in a dry run as in a live one.
///
/// Never build a spec from a receipt's output: what the simulator predicted and what the server
/// answered may differ, and the input would not be the one that was approved. What is known only
/// when it is performed reaches a phase as its [`Prior`](crate::Prior).
///
/// ```
/// use phasegate::{Invalid, PhaseSpec, Sg1, Start};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct CloseAccounts {
///     accounts: Vec<String>,
/// }
///
/// impl PhaseSpec for CloseAccounts {
///     const NAME: &'static str = "close_accounts";
///     type Gate = Sg1;      // live, it needs an `Sg1Approved`
///     type After = Start;   // it is the first
///     type Output = u64;    // how many were closed
///
///     fn validate(&self) -> Result<(), Invalid> {
///         match self.accounts.iter().position(String::is_empty) {
///             Some(at) => Err(Invalid::new("the account has no number").at_row(at as u64 + 1, "")),
///             None => Ok(()),
///         }
///     }
/// }
/// ```
pub trait PhaseSpec: Serialize + DeserializeOwned + 'static {
    /// The phase's name, in the plan and in every message. A run refuses to perform two phases of
    /// one name (see [`instance`](PhaseSpec::instance)). It is 1 to 200 ASCII characters that can be seen; spaces between
    /// them are allowed, at its ends not.
    const NAME: &'static str;

    /// The approval that it needs when live: a [`Gate`](crate::Gate), [`And`](crate::And) of
    /// several, or [`Ungated`](crate::Ungated).
    type Gate: Requirement;

    /// What must have been performed before it: [`Start`], a phase, or a tuple of phases.
    type After: After;

    /// What it leaves to those after it. Like the spec it is carried as canonical JSON.
    type Output: Serialize + DeserializeOwned + 'static;

    /// Checks the input, **before any connection is made**.
    ///
    /// # Errors
    ///
    /// What is wrong, and with which row.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Tells phases of one type apart, for pipelines that perform several: a batch number, a
    /// region. The phase is then called `NAME[instance]`, of which the same holds as of [`NAME`](PhaseSpec::NAME).
    fn instance(&self) -> Option<String> {
        None
    }

    /// What it is about, in one line, for those who read the plan: "58 units of charter.md, articles
    /// 1 to 45". It stands in the plan that is approved.
    fn summary(&self) -> String {
        String::new()
    }

    /// How many rows more or fewer than predicted it may insert into, update in, or delete from
    /// `table`, each by itself: none, if this does not say otherwise. It stands in the plan that is
    /// approved. Where no row was predicted none is tolerated, whatever this says.
    fn tolerance(&self, table: &str) -> u64 {
        let _ = table;
        0
    }

    /// How long this phase may take, where the run's own timeouts do not fit it.
    fn timeouts(&self, of_the_run: Timeouts) -> Timeouts {
        of_the_run
    }
}

pub(crate) fn full_name<S: PhaseSpec>(spec: &S) -> String {
    match spec.instance() {
        Some(instance) => format!("{}[{instance}]", S::NAME),
        None => S::NAME.to_owned(),
    }
}

/// The names of the gates of `S`, in order.
pub(crate) fn gates<S: PhaseSpec>() -> Vec<String> {
    let mut names = Vec::new();
    <S::Gate as sealed::Requirement>::add_gates(&mut names);
    names.into_iter().map(str::to_owned).collect()
}

/// The approval witness that phase `S` demands in mode `M`.
pub type Witness<'run, S, M> = <<S as PhaseSpec>::Gate as Requirement>::Witness<'run, M>;

/// The receipts that phase `S` demands in mode `M`.
pub type Receipts<'r, 'run, S, M> = <<S as PhaseSpec>::After as After>::Receipts<'r, 'run, M>;

/// What a phase can come after.
///
/// | `type After =` | receipts | outputs |
/// |---|---|---|
/// | [`Start`] | `Start` | `()` |
/// | `S`, a [`PhaseSpec`] | `&Receipt<S>` | `&S::Output` |
/// | `Vec<S>`: all phases of one type, for example batches | `&[Receipt<S>]` | `&[S::Output]` |
/// | `Option<S>`: a phase that not every run has | `Option<&Receipt<S>>` | `Option<&S::Output>` |
/// | a tuple of two to eight phases | a tuple of references | a tuple of references |
///
/// Which phases they were stands in the plan: live, the receipts have to be those of the dry run, all of them, in its order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a phase comes after",
    label = "not `Start`, not a `PhaseSpec`, not `Vec<_>`, `Option<_>` or a tuple of them",
    note = "the first phase says `type After = Start;`, the others name the phase or phases before them: `type After = CutLegA;`, `type After = (Load, Check);`, `type After = Vec<Batch>;`"
)]
pub trait After: sealed::After + 'static {
    /// The proofs that it happened: references to receipts of this run and this mode.
    type Receipts<'r, 'run: 'r, M: Mode>: Copy;

    /// What the phases before left: references to their outputs.
    type Outputs<'r>: Copy;
}

/// Nothing comes before this phase. Both the type (`type After = Start;`) and the value that stands
/// in the receipts' place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start;

impl After for Start {
    type Receipts<'r, 'run: 'r, M: Mode> = Start;
    type Outputs<'r> = ();
}

impl sealed::After for Start {
    type Decoded = ();

    fn decode<'r, 'run: 'r, M: Mode>(
        _: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    fn lend((): &()) -> <Self as After>::Outputs<'_> {}

    fn names<'r, 'run: 'r, M: Mode>(_: <Self as After>::Receipts<'r, 'run, M>) -> Vec<String> {
        Vec::new()
    }
}

impl<S: PhaseSpec> After for S {
    type Receipts<'r, 'run: 'r, M: Mode> = &'r Receipt<'run, S, M>;
    type Outputs<'r> = &'r S::Output;
}

impl<S: PhaseSpec> sealed::After for S {
    type Decoded = S::Output;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, Refusal> {
        receipt.decode()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        vec![receipt.phase.clone()]
    }
}

impl<S: PhaseSpec> After for Vec<S> {
    type Receipts<'r, 'run: 'r, M: Mode> = &'r [Receipt<'run, S, M>];
    type Outputs<'r> = &'r [S::Output];
}

impl<S: PhaseSpec> sealed::After for Vec<S> {
    type Decoded = Vec<S::Output>;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipts: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, Refusal> {
        receipts.iter().map(Receipt::decode).collect()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipts: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        receipts
            .iter()
            .map(|receipt| receipt.phase.clone())
            .collect()
    }
}

impl<S: PhaseSpec> After for Option<S> {
    type Receipts<'r, 'run: 'r, M: Mode> = Option<&'r Receipt<'run, S, M>>;
    type Outputs<'r> = Option<&'r S::Output>;
}

impl<S: PhaseSpec> sealed::After for Option<S> {
    type Decoded = Option<S::Output>;

    fn decode<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Result<Self::Decoded, Refusal> {
        receipt.map(Receipt::decode).transpose()
    }

    fn lend(decoded: &Self::Decoded) -> <Self as After>::Outputs<'_> {
        decoded.as_ref()
    }

    fn names<'r, 'run: 'r, M: Mode>(
        receipt: <Self as After>::Receipts<'r, 'run, M>,
    ) -> Vec<String> {
        receipt
            .iter()
            .map(|receipt| receipt.phase.clone())
            .collect()
    }
}

macro_rules! after_several {
    ($($phase:ident $receipt:ident),+) => {
        impl<$($phase: PhaseSpec),+> After for ($($phase,)+) {
            type Receipts<'r, 'run: 'r, M: Mode> = ($(&'r Receipt<'run, $phase, M>,)+);
            type Outputs<'r> = ($(&'r $phase::Output,)+);
        }

        impl<$($phase: PhaseSpec),+> sealed::After for ($($phase,)+) {
            type Decoded = ($($phase::Output,)+);

            fn decode<'r, 'run: 'r, M: Mode>(
                ($($receipt,)+): <Self as After>::Receipts<'r, 'run, M>,
            ) -> Result<Self::Decoded, Refusal> {
                Ok(($($receipt.decode()?,)+))
            }

            fn lend(($($receipt,)+): &Self::Decoded) -> <Self as After>::Outputs<'_> {
                ($($receipt,)+)
            }

            fn names<'r, 'run: 'r, M: Mode>(
                ($($receipt,)+): <Self as After>::Receipts<'r, 'run, M>,
            ) -> Vec<String> {
                vec![$($receipt.phase.clone(),)+]
            }
        }
    };
}

after_several!(A a, B b);
after_several!(A a, B b, C c);
after_several!(A a, B b, C c, D d);
after_several!(A a, B b, C c, D d, E e);
after_several!(A a, B b, C c, D d, E e, F f);
after_several!(A a, B b, C c, D d, E e, F f, G g);
after_several!(A a, B b, C c, D d, E e, F f, G g, H h);

/// Holding one proves that everything a phase of mode `M` demands is at hand: the spec, the switch,
/// the approval and the receipts of what comes before, all of this run.
///
/// Whether the *present* still agrees is the engine's to check when it is performed, by
/// [`Run::perform`] or [`Run::attempt`]. [`Run::phase`] says the same in one line.
#[must_use = "a phase does nothing until a run performs it"]
pub struct Phase<'r, 'run: 'r, S: PhaseSpec, M: Mode, A = Witness<'run, S, M>> {
    pub(crate) spec: S,
    on: PhantomData<&'r M::Switch<'run>>,
    // Its type is the proof: to whoever holds it the engine has said yes, and remembers to what.
    _approved: A,
    pub(crate) after: Receipts<'r, 'run, S, M>,
}

impl<'r, 'run: 'r, S: PhaseSpec, M: Mode> Phase<'r, 'run, S, M> {
    /// A phase of any mode, for pipelines that are generic over it.
    pub fn new(
        spec: S,
        _on: &'r M::Switch<'run>,
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

    /// Erases the type of the phase, not its mode: for pipelines whose phases are known only at run
    /// time. Receipts are not handed out for it, so nothing can come after it by type.
    pub fn erase<W>(self) -> Box<dyn ErasedPhase<'run, M, W> + 'r>
    where
        W: Perform<M, S>,
        Witness<'run, S, M>: 'r,
    {
        Box::new(self)
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
    ///     let _ = Phase::live(Cut, on, Ungated, Start); // expected `Approved`, found `Ungated`
    /// }
    /// ```
    pub fn live(
        spec: S,
        on: &'r crate::KillSwitchOn<'run>,
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
        on: &'r crate::NoSwitch,
        unapproved: Witness<'run, S, DryRun>,
        after: Receipts<'r, 'run, S, DryRun>,
    ) -> Self {
        Phase::new(spec, on, unapproved, after)
    }
}

impl<'r, 'run: 'r, S: PhaseSpec> Phase<'r, 'run, S, Rehearsal> {
    /// A phase of a rehearsal; see [`Phase::live`].
    pub fn rehearsal(
        spec: S,
        on: &'r crate::NoSwitch,
        unapproved: Witness<'run, S, Rehearsal>,
        after: Receipts<'r, 'run, S, Rehearsal>,
    ) -> Self {
        Phase::new(spec, on, unapproved, after)
    }
}

impl<S: PhaseSpec, M: Mode, A> fmt::Debug for Phase<'_, '_, S, M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phase({}, {})", full_name(&self.spec), M::NAME)
    }
}

/// A phase whose type is no longer known, but whose mode, run and performer are.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Batch(u32);
/// # impl PhaseSpec for Batch {
/// #     const NAME: &'static str = "batch";
/// #     type Gate = Ungated; type After = Start; type Output = ();
/// #     fn instance(&self) -> Option<String> { Some(self.0.to_string()) }
/// # }
/// fn all<'run, M: Mode, W: Perform<M, Batch>>(
///     run: &mut Run<'run, M, W>,
///     on: &M::Switch<'run>,
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
    /// Its name in the plan and in every message.
    fn name(&self) -> String;

    /// Performs it, as [`Run::perform`] would.
    ///
    /// # Errors
    ///
    /// As [`Run::perform`].
    fn perform(self: Box<Self>, run: &mut Run<'run, M, W>) -> Result<(), Error>;
}

impl<S: PhaseSpec, M: Mode, A> sealed::ErasedPhase for Phase<'_, '_, S, M, A> {}

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

/// Holding one proves that phase `S` was performed in this run, in mode `M`; live, that its
/// transaction was committed.
///
/// Got from performing the phase, and from nothing else. The receipt of a dry run or of a rehearsal
/// opens nothing live: the mode is in the type. It cannot leave its run or be cloned; phases that come after it borrow
/// it.
pub struct Receipt<'run, S: PhaseSpec, M: Mode> {
    phase: String,
    output: S::Output,
    bytes: Vec<u8>,
    evidence: <M as sealed::Mode>::Evidence,
    _brand: Brand<'run>,
}

impl<'run, S: PhaseSpec, M: Mode> Receipt<'run, S, M> {
    /// Called by the engine alone, once the phase was performed.
    pub(crate) fn mint(
        done: sealed::Done<S::Output, <M as sealed::Mode>::Evidence>,
        brand: Brand<'run>,
    ) -> Self {
        Receipt {
            phase: done.phase,
            output: done.output,
            bytes: done.bytes,
            evidence: done.evidence,
            _brand: brand,
        }
    }

    /// The output as the journal has it, and not as it was shown to others since.
    fn decode(&self) -> Result<S::Output, Refusal> {
        canonical::decode(&self.bytes).map_err(|error| Refusal::OutputUnreadable {
            phase: self.phase.clone(),
            source: error.into(),
        })
    }

    /// The phase's name, as the plan has it.
    pub fn phase(&self) -> &str {
        &self.phase
    }

    /// What the phase left.
    pub fn output(&self) -> &S::Output {
        &self.output
    }

    /// What the phase left, for good: the proof is given up, the output may leave the run.
    pub fn into_output(self) -> S::Output {
        self.output
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Live> {
    /// The transaction that was committed.
    pub fn committed(&self) -> &crate::Committed {
        &self.evidence
    }
}

impl<S: PhaseSpec> Receipt<'_, S, Rehearsal> {
    /// What the phase did, as it was measured; it is rolled back when the rehearsal ends.
    pub fn rehearsed(&self) -> &crate::RehearsedPhase {
        &self.evidence
    }
}

impl<S: PhaseSpec, M: Mode> fmt::Debug for Receipt<'_, S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Receipt({}, {}, {:?})",
            self.phase,
            M::NAME,
            self.evidence
        )
    }
}
