//! None of the programs in `illegal/` compiles, and each has its message beside it.
//!
//! `concrete/` has them for one mode and one adapter, `generic/` for every mode and performer, `reviewed/` against what
//! the review approved. `TRYBUILD=overwrite cargo test --test illegal` writes the messages again.

#[test]
fn illegal_programs_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/illegal/*/*.rs");
}
