//! Other bytes under an approved plan: a plan comes from a dry run, or from approved bytes.

use phasegate::Plan;

fn forged(approved: Plan, bytes: Vec<u8>) -> Plan {
    Plan { bytes, ..approved }
}

fn main() {}
