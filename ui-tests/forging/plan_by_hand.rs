//! A plan comes from a dry run, or from approved bytes.

use phasegate::{Plan, Target};

fn forged(target: Target) -> Plan {
    Plan::by_hand("items", target, Vec::new())
}

fn main() {}
