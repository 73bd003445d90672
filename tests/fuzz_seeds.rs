//! What the fuzz targets begin with is what its name says, or they would begin with nothing.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use phasegate::{Digest, Plan};

/// Has `accepts` read every seed of `target`, which is named for whether it does.
fn each_seed(target: &str, accepts: impl Fn(&[u8]) -> Result<(), String>) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus-seeds");
    let (mut accepted, mut refused) = (0, 0);
    for seed in fs::read_dir(seeds.join(target)).unwrap() {
        let seed = seed.unwrap();
        let name = seed.file_name().into_string().unwrap();
        let answer = accepts(&fs::read(seed.path()).unwrap());
        assert_eq!(
            answer.is_ok(),
            name.starts_with("accepted"),
            "{name}: {answer:?}"
        );
        *if answer.is_ok() {
            &mut accepted
        } else {
            &mut refused
        } += 1;
    }
    assert!(accepted > 0 && refused > 0, "{accepted} and {refused}");
}

#[test]
fn seeds_of_plans_are_what_their_names_say() {
    each_seed("plan", |bytes| {
        let plan = Plan::from_saved(bytes, Digest::of(bytes));
        plan.map(drop).map_err(|refusal| refusal.to_string())
    });
}
