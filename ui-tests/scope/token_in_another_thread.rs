//! A token does not cross to another thread.

use phasegate::KillSwitchOn;

fn crosses(_: impl FnOnce() + Send) {}

fn sends(on: &KillSwitchOn<'_>) {
    crosses(|| drop(format!("{on:?}")));
}

fn main() {}
