//! A signature may be any bytes: of one statement, none is accepted but the two that were made.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use phasegate::{
    Digest, Plan,
    ssh::{AllowedSigners, Policy, SignedApprovals},
};
use phasegate_fuzz::{A_KEY, bounded};

macro_rules! seed {
    ($path:literal) => {
        include_bytes!(concat!("../corpus-seeds/", $path)).as_slice()
    };
}

static RULES: LazyLock<(Plan, Policy, AllowedSigners)> = LazyLock::new(|| {
    let plan = seed!("plan/accepted");
    let signers = str::from_utf8(seed!("allowed_signers/accepted")).expect("text");
    (
        Plan::from_saved(plan, Digest::of(plan)).expect("a plan"),
        Policy::from_json(seed!("policy/accepted")).expect("a policy"),
        AllowedSigners::parse(signers).expect("allowed signers"),
    )
});

fuzz_target!(|bytes: &[u8]| {
    let (plan, policy, signers) = &*RULES;
    let mut approvals = SignedApprovals::new(plan, policy.clone(), signers.clone());
    let added = bounded(bytes, 200, A_KEY, || {
        approvals.add(seed!("statement/accepted"), bytes)
    });
    let made = [
        seed!("signature/accepted"),
        seed!("signature/accepted-ecdsa"),
    ];
    let without = |bytes: &[u8]| bytes.trim_ascii_end().to_vec();
    let is_made = made.iter().any(|made| without(made) == without(bytes));
    match added {
        Ok(()) => assert!(is_made, "a forged signature"),
        Err(refusal) => assert!(!is_made || !bytes.ends_with(b"\n"), "{refusal}"),
    }
});
