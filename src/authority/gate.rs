//! Gates: the named approvals that phases need.

/// A named approval that a phase needs.
///
/// A gate is a type without values, so that a signature can name it. The crate has [`Sg1`] and [`Sg2`]; add your own:
///
/// ```
/// /// The data protection officer has agreed.
/// enum Privacy {}
/// impl phasegate::Gate for Privacy {
///     const NAME: &'static str = "PRIVACY";
/// }
/// ```
///
/// People approve the gate by its name, which also stands in the plan and in the request to an
/// [`Authority`](crate::approval::Authority). Two types with one name are one gate to all of these, though not to the
/// compiler.
pub trait Gate: 'static {
    /// The gate's name, as people know it.
    const NAME: &'static str;
}

/// The gate `SG_1`: the cut may be written.
#[derive(Debug)]
pub enum Sg1 {}

/// The gate `SG_2`: the written cut may be enacted.
#[derive(Debug)]
pub enum Sg2 {}

impl Gate for Sg1 {
    const NAME: &'static str = "SG_1";
}

impl Gate for Sg2 {
    const NAME: &'static str = "SG_2";
}
