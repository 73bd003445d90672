//! What a phase is: its input, its gate, what it comes after, and its output.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::mode::Mode;
use super::requirement::Requirement;
use crate::engine::Timeouts;
use crate::outcome::Invalid;

/// What a phase is, apart from how it is performed.
///
/// The value is the phase's input. It is written as canonical JSON, hashed into the plan, and what
/// is performed is the value *read back from those bytes*: a field under `#[serde(skip)]` arrives
/// as its default, in a dry run as in a live one.
///
/// Never build a spec from a receipt's output: what the simulator predicted and what the server
/// returned may differ, and the input would not be the one that was approved. What is known only
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
    /// one name (see [`instance`](PhaseSpec::instance)). It is 1 to 200 printable ASCII
    /// characters, without leading or trailing space.
    const NAME: &'static str;

    /// The approval that it needs when live: a [`Gate`](crate::Gate), [`And`](crate::And) of
    /// several, or [`Ungated`](crate::Ungated).
    type Gate: Requirement;

    /// What must have been performed before it: see [`After`] for what can stand here.
    type After: After;

    /// What it leaves to those after it. Like the spec it is carried as canonical JSON.
    type Output: Serialize + DeserializeOwned + 'static;

    /// Whether the input is personal data, or secret for another reason: such an input is not shown with the plan, and
    /// not part of the evidence, which have its digest only.
    const PERSONAL: bool = false;

    /// Checks the input, **before any connection is made**.
    ///
    /// # Errors
    ///
    /// What is wrong, and with which row.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Tells phases of one type apart, for pipelines that perform several: a batch number, a
    /// region. The phase is then called `NAME[instance]`, for which the rule of [`NAME`](PhaseSpec::NAME) holds.
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
    fn timeouts(&self, run_timeouts: Timeouts) -> Timeouts {
        run_timeouts
    }
}

/// Returns the name of the phase, with its instance.
pub(in crate::typed) fn full_name<S: PhaseSpec>(spec: &S) -> String {
    match spec.instance() {
        Some(instance) => format!("{}[{instance}]", S::NAME),
        None => S::NAME.to_owned(),
    }
}

/// The approval witness that phase `S` demands in mode `M`.
pub type Witness<'run, S, M> = <<S as PhaseSpec>::Gate as Requirement>::Witness<'run, M>;

/// The receipts that phase `S` demands in mode `M`.
pub type Receipts<'r, 'run, S, M> = <<S as PhaseSpec>::After as After>::Receipts<'r, 'run, M>;

/// What the phases before `S` left: `()`, a reference to an output, a list, an option, or a tuple of references.
pub type Prior<'r, S> = <<S as PhaseSpec>::After as After>::Outputs<'r>;

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
    label = "not `Start`, not a `PhaseSpec`, not `Vec<_>`, `Option<_>` or a tuple of phases",
    note = "the first phase says `type After = Start;`, the others name the phase or phases before them: `type After = Load;`, `type After = (Load, Check);`, `type After = Vec<Batch>;`",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-an-order"
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

/// Private, so that no other crate can claim that something was performed.
pub(in crate::typed) mod sealed {
    use super::Mode;
    use crate::base::canonical::NotCanonical;

    /// Only `Start`, a phase, a list of phases of one type, an optional phase, or a tuple of phases.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` does not say what a phase comes after",
        label = "not `Start`, not a `PhaseSpec`, not `Vec<_>`, `Option<_>` or a tuple of phases",
        note = "the first phase says `type After = Start;`, the others name the phase or phases before them: `type After = Load;`, `type After = (Load, Check);`, `type After = Vec<Batch>;`",
        note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-an-order"
    )]
    pub trait After {
        /// The outputs of the phases before, read from their bytes.
        type Decoded;

        /// Reads the outputs from their bytes. A change that a caller made to a decoded value has no effect.
        fn decode<'r, 'run: 'r, M: Mode>(
            receipts: <Self as super::After>::Receipts<'r, 'run, M>,
        ) -> Result<Self::Decoded, NotCanonical>
        where
            Self: super::After;

        /// Returns the references that an adapter is shown.
        fn lend(decoded: &Self::Decoded) -> <Self as super::After>::Outputs<'_>
        where
            Self: super::After;

        /// Returns the names of the phases whose receipts these are, in order.
        fn names<'r, 'run: 'r, M: Mode>(
            receipts: <Self as super::After>::Receipts<'r, 'run, M>,
        ) -> Vec<String>
        where
            Self: super::After;
    }
}
