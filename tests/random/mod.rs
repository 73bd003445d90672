//! What a random test needs: numbers that one seed determines, and how long it runs.
//!
//! `cargo test` runs the same short runs each time. `.ci/run` runs long ones (`PHASEGATE_LONG=1`), from a seed that the
//! tree of the commit determines, so that each commit is tried with other numbers and the same commit always with the
//! same. `PHASEGATE_SEED` sets the seed; a test that fails prints it.
#![allow(dead_code)] // not every test needs all of it
#![allow(unreachable_pub)]

use std::env;

/// Numbers that the seed determines (`SplitMix64`).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).unwrap();
        usize::try_from((bits ^ (bits >> 31)) % bound).unwrap()
    }

    pub fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Returns the number that everything random follows from.
pub fn seed() -> u64 {
    match env::var("PHASEGATE_SEED") {
        Ok(seed) => seed.parse().expect("PHASEGATE_SEED is a number"),
        Err(_) => 1,
    }
}

/// Returns `short`, or `long` where long runs were asked for.
pub fn runs(short: usize, long: usize) -> usize {
    match env::var("PHASEGATE_LONG").as_deref() {
        Ok("1") => long,
        Ok(other) => panic!("PHASEGATE_LONG is 1 or not set, and not `{other}`"),
        Err(_) => short,
    }
}
