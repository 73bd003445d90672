//! A statement may be any bytes: what is accepted is exactly what is signed.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use phasegate::approval::ApprovalStatement;
use phasegate_fuzz::{A_LITTLE, assert_printable, bounded, json};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    match bounded(bytes, 100, A_LITTLE, || {
        ApprovalStatement::from_bytes(bytes)
    }) {
        Ok(statement) => {
            assert_eq!(statement.bytes().expect("it was read"), bytes);
            assert!(statement.valid_from <= statement.expires);
        }
        Err(refusal) => assert_printable(&refusal),
    }
});
