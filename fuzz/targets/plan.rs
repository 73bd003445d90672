//! A saved plan may be any bytes: reading it neither panics nor takes memory out of proportion, and
//! what is accepted is exactly what was hashed.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use phasegate::{Digest, Plan};
use phasegate_fuzz::{A_LITTLE, assert_printable, bounded, json};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    let digest = Digest::of(bytes);
    match bounded(bytes, 100, A_LITTLE, || Plan::from_saved(bytes, digest)) {
        Ok(plan) => {
            assert_eq!(plan.bytes(), bytes);
            assert_eq!(plan.digest(), digest);
            assert!(!plan.phases().is_empty());
            assert!(!plan.to_string().is_empty());
            let again = Plan::from_saved(plan.bytes(), digest).expect("it was accepted before");
            assert_eq!(again, plan);
        }
        // A refusal has to be printable.
        Err(refusal) => assert_printable(&refusal),
    }
});
