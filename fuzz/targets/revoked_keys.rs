//! Revoked keys may be any text: they are read, or refused by a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phasegate::ssh::RevokedKeys;
use phasegate_fuzz::{A_KEY, assert_printable, bounded};

fuzz_target!(|text: &str| {
    match bounded(text.as_bytes(), 200, A_KEY, || RevokedKeys::parse(text)) {
        Ok(revoked) => assert_eq!(revoked.text(), text),
        Err(refusal) => assert_printable(&refusal),
    }
});
