//! Allowed signers may be any text: they are read, or refused by a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use phasegate::ssh::AllowedSigners;
use phasegate_fuzz::{A_KEY, assert_printable, bounded};

fuzz_target!(|text: &str| {
    match bounded(text.as_bytes(), 200, A_KEY, || AllowedSigners::parse(text)) {
        Ok(signers) => assert_eq!(signers.text(), text),
        Err(refusal) => assert_printable(&refusal),
    }
});
