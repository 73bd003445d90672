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
    match bounded(bytes, 100, A_LITTLE, || Plan::inspect(bytes)) {
        Ok(plan) => {
            let plan = Plan::from_saved(bytes, plan.digest()).expect("it was read before");
            let lines: Vec<u8> = bytes
                .iter()
                .copied()
                .filter(|byte| *byte != b'\r')
                .collect();
            assert!(plan.bytes() == bytes || plan.saved() == lines);
            assert_eq!(plan.digest(), Digest::of(plan.bytes()));
            assert!(!plan.phases().is_empty());
            assert!(!plan.to_string().is_empty());
            for saved in [plan.bytes(), &plan.saved()] {
                let again = Plan::from_saved(saved, plan.digest()).expect("it was saved so");
                assert_eq!(again, plan);
            }
        }
        // A refusal has to be printable.
        Err(refusal) => assert_printable(&refusal),
    }
});
