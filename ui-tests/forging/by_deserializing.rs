//! No token can be deserialized.

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{KillSwitchOn, Live, Plan, Receipt, Sg1Approved};
use pipeline::Draft;

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn forged<'run>() {
    let _: Option<KillSwitchOn<'run>> = read("null");
    let _: Option<Sg1Approved<'run>> = read("null");
    let _: Option<Receipt<'run, Draft, Live>> = read("null");
    let _: Option<Plan> = read("null");
}

fn main() {}
