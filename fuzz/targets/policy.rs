//! A policy may be any bytes: what is accepted is what stands in the journal, and no gate of it is
//! without an approver.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use phasegate::ssh::Policy;
use phasegate_fuzz::{A_LITTLE, assert_printable, bounded, json};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    match bounded(bytes, 200, A_LITTLE, || Policy::from_json(bytes)) {
        Ok(policy) => {
            let json = policy.to_json();
            let again = Policy::from_json(json.as_bytes()).expect("it was accepted before");
            assert_eq!(again, policy);
            assert_eq!(again.to_json(), json);
            for gate in ["SG_1", "SG_2"] {
                let rule = policy.gate(gate);
                let fits =
                    |needed: u32, approvers: usize| (1..=approvers).contains(&(needed as usize));
                assert!(rule.is_none_or(|rule| fits(rule.needed(), rule.approvers().len())));
            }
        }
        Err(refusal) => assert_printable(&refusal),
    }
});
