//! Pins what a reviewer approved, at compile time: the gate, order, output and name of a phase, and what a type is not.

use std::marker::PhantomData;

use super::adapter::Execute;
use super::requirement::Requirement;
use super::spec::{After, PhaseSpec};

/// Pins what a reviewer approved of a phase: a later change of its gate, order, output or name does not compile.
///
/// One line for each phase, in the order `gate`, `after`, `output`, and optionally `name`. A change is then a change of
/// two places, the second of which is the list that reviewers read.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Load;
/// # #[derive(Serialize, Deserialize)] struct Publish;
/// # impl PhaseSpec for Load {
/// #     const NAME: &'static str = "load"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// # impl PhaseSpec for Publish {
/// #     const NAME: &'static str = "publish"; type Gate = And<Sg1, Sg2>; type After = Load; type Output = ();
/// # }
/// phasegate::assert_phase!(Load: gate = Ungated, after = Start, output = u64, name = "load");
/// phasegate::assert_phase!(Publish: gate = And<Sg1, Sg2>, after = Load, output = ());
/// ```
///
/// ```compile_fail,E0277
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Load;
/// # impl PhaseSpec for Load {
/// #     const NAME: &'static str = "load"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// // the gate of phase `Load` was reviewed as `Sg1`, and is now `Ungated`
/// phasegate::assert_phase!(Load: gate = Sg1, after = Start, output = u64);
/// ```
#[macro_export]
macro_rules! assert_phase {
    ($phase:ty: gate = $gate:ty, after = $after:ty, output = $output:ty $(, name = $name:literal)? $(,)?) => {
        const _: () = {
            $crate::__reviewed::gate::<$phase, <$phase as $crate::PhaseSpec>::Gate, $gate>();
            $crate::__reviewed::after::<$phase, <$phase as $crate::PhaseSpec>::After, $after>();
            $crate::__reviewed::output::<$phase, <$phase as $crate::PhaseSpec>::Output, $output>();
            $(
                const NOW: &str = <$phase as $crate::PhaseSpec>::NAME;
                const CHANGED: [&str; 5] = [
                    concat!("the name of phase `", stringify!($phase), "` was reviewed as `", $name, "`, and is now `"),
                    NOW,
                    "`, by which plans and the journal know it: restore `NAME`, or have the change reviewed and write `name = \"",
                    NOW,
                    "\"` here",
                ];
                const BYTES: [u8; $crate::__reviewed::length(&CHANGED)] = $crate::__reviewed::joined(&CHANGED);
                const MESSAGE: &str = $crate::__reviewed::text(&BYTES);
                if !$crate::__reviewed::same(NOW, $name) {
                    panic!("{}", MESSAGE);
                }
            )?
        };
    };
}

/// Asserts that a type is no live adapter of the named phases, so that no live run accepts it.
///
/// For simulators and doubles. What is checked is [`Execute<S>`](crate::Execute) for each phase `S` in the list.
///
/// ```
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Load;
/// # impl PhaseSpec for Load {
/// #     const NAME: &'static str = "load"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// struct Predicts;
/// phasegate::assert_not_live!(Predicts: Load);
/// ```
///
/// ```compile_fail,E0080
/// # use phasegate::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Load;
/// # impl PhaseSpec for Load {
/// #     const NAME: &'static str = "load"; type Gate = Ungated; type After = Start; type Output = u64;
/// # }
/// struct Predicts;
/// impl Execute<Load> for Predicts {
///     fn execute(&mut self, _: &Load, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(1) }
/// }
/// phasegate::assert_not_live!(Predicts: Load);
/// ```
#[macro_export]
macro_rules! assert_not_live {
    ($performer:ty: $($phase:ty),+ $(,)?) => {
        const _: () = {
            #[allow(unused_imports)]
            use $crate::__reviewed::NotLive as _;
            $(assert!(
                !$crate::__reviewed::Performer::<$performer, $phase>::LIVE,
                concat!(
                    "`", stringify!($performer), "` is a live adapter of phase `", stringify!($phase), "`: ",
                    "remove its `impl Execute<", stringify!($phase), ">`, or remove it from this assertion"
                )
            );)+
        };
    };
}

/// Asserts that types hold no witness: no switch token, approval, receipt, phase, run or transaction, at any depth.
///
/// For a program's own types that outlive a run or go to other threads: configuration, reports, errors. A witness
/// belongs to one run and one thread, and no type that holds one is [`Send`]. What is checked is `Send`, so a type with
/// an `Rc` or a raw pointer fails too.
///
/// ```
/// struct Settings { rows: usize }
/// phasegate::assert_no_witness!(Settings, Result<Vec<u64>, phasegate::Error>);
/// ```
///
/// ```compile_fail,E0277
/// struct Settings { on: phasegate::KillSwitchOn<'static> }
/// phasegate::assert_no_witness!(Settings);
/// ```
#[macro_export]
macro_rules! assert_no_witness {
    ($($held:ty),+ $(,)?) => {
        const _: () = {
            $($crate::__reviewed::no_witness::<$held>();)+
        };
    };
}

/// Holds where the gate of phase `S` is the reviewed one.
#[diagnostic::on_unimplemented(
    message = "the gate of phase `{S}` was reviewed as `{Reviewed}`, and is now `{Self}`",
    label = "`type Gate` of `{S}` was changed after this line was approved",
    note = "if the change was not intended: restore `type Gate = {Reviewed};` in `impl PhaseSpec for {S}`",
    note = "if it was: have it reviewed, and write `gate = {Self}` here",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#the-gate-of-a-phase-was-changed"
)]
pub trait GateIs<S, Reviewed> {}
impl<S, G> GateIs<S, G> for G {}

/// Holds where the order of phase `S` is the reviewed one.
#[diagnostic::on_unimplemented(
    message = "phase `{S}` was reviewed as coming after `{Reviewed}`, and now comes after `{Self}`",
    label = "`type After` of `{S}` was changed after this line was approved",
    note = "if the change was not intended: restore `type After = {Reviewed};` in `impl PhaseSpec for {S}`",
    note = "if it was: have it reviewed, and write `after = {Self}` here",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#the-gate-of-a-phase-was-changed"
)]
pub trait AfterIs<S, Reviewed> {}
impl<S, A> AfterIs<S, A> for A {}

/// Holds where the output of phase `S` is the reviewed one.
#[diagnostic::on_unimplemented(
    message = "the output of phase `{S}` was reviewed as `{Reviewed}`, and is now `{Self}`",
    label = "`type Output` of `{S}` was changed after this line was approved",
    note = "if the change was not intended: restore `type Output = {Reviewed};` in `impl PhaseSpec for {S}`",
    note = "if it was: have it reviewed, and write `output = {Self}` here",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#the-gate-of-a-phase-was-changed"
)]
pub trait OutputIs<S, Reviewed> {}
impl<S, O> OutputIs<S, O> for O {}

/// Holds for a type that holds no witness of a run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may hold a witness of a run",
    label = "not `Send`: it holds a token, approval, receipt, run or transaction, or something else that stays in its thread",
    note = "keep what a run lends inside the run: take it as an argument, or keep a receipt's output (`into_output`) and not the receipt",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#a-type-holds-a-witness"
)]
pub trait NoWitness {}
#[diagnostic::do_not_recommend]
impl<T: Send> NoWitness for T {}

/// Compiles where the gate `Now` of phase `S` is `Reviewed`.
pub const fn gate<S: PhaseSpec, Now: GateIs<S, Reviewed>, Reviewed: Requirement>() {}

/// Compiles where the order `Now` of phase `S` is `Reviewed`.
pub const fn after<S: PhaseSpec, Now: AfterIs<S, Reviewed>, Reviewed: After>() {}

/// Compiles where the output `Now` of phase `S` is `Reviewed`.
pub const fn output<S: PhaseSpec, Now: OutputIs<S, Reviewed>, Reviewed>() {}

/// Compiles where `T` holds no witness.
pub const fn no_witness<T: NoWitness>() {}

/// A pair of a type and a phase, whose constant `LIVE` is whether the type performs the phase live.
#[derive(Debug)]
pub struct Performer<W, S>(PhantomData<(W, S)>);

impl<S: PhaseSpec, W: Execute<S>> Performer<W, S> {
    /// The type is a live adapter: this constant has precedence over that of [`NotLive`].
    pub const LIVE: bool = true;
}

/// The constant of a pair that is not live.
pub trait NotLive {
    /// The type is no live adapter.
    const LIVE: bool = false;
}

impl<W, S: PhaseSpec> NotLive for Performer<W, S> {}

/// Returns whether two names are equal, at compile time.
#[must_use]
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Returns the number of bytes of all `parts`.
#[must_use]
pub const fn length(parts: &[&str]) -> usize {
    let (mut length, mut at) = (0, 0);
    while at < parts.len() {
        length += parts[at].len();
        at += 1;
    }
    length
}

/// Returns the bytes of all `parts`, whose [`length`] is `N`.
#[must_use]
pub const fn joined<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut bytes = [0; N];
    let (mut end, mut part) = (0, 0);
    while part < parts.len() {
        let (from, mut at) = (parts[part].as_bytes(), 0);
        while at < from.len() {
            bytes[end] = from[at];
            at += 1;
            end += 1;
        }
        part += 1;
    }
    bytes
}

/// Returns the text of `bytes`; an empty one if they are not UTF-8.
#[must_use]
pub const fn text(bytes: &[u8]) -> &str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}
