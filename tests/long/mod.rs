//! How long a random run is: short in `cargo test`, long where `PHASEGATE_LONG=1`, as in `.ci/run`.
#![allow(unreachable_pub)]

use std::env;

/// Returns `short`, or `long` where long runs were asked for.
pub fn runs(short: usize, long: usize) -> usize {
    match env::var("PHASEGATE_LONG").as_deref() {
        Ok("1") => long,
        Ok(other) => panic!("PHASEGATE_LONG is 1 or not set, and not `{other}`"),
        Err(_) => short,
    }
}
