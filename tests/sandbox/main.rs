//! The 28 checks as a sandbox suite: written once, and run on a fake server and on a real one.
//!
//! `cargo test --test sandbox on_a_fake_server` needs no database, no secret and no network.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod backend;
mod checks;
mod phases;
#[path = "../server/proxy.rs"]
#[allow(dead_code)]
mod proxy;

/// Runs each check on the servers that `$backend` makes.
macro_rules! suite {
    ($server:ident: $backend:path; $($check:ident)+) => {
        mod $server {
            $(
                #[test]
                fn $check() {
                    crate::checks::$check(&$backend);
                }
            )+
        }
    };
}

macro_rules! all_checks {
    ($server:ident: $backend:path) => {
        suite! { $server: $backend;
            c01_execution_is_off_by_default
            c02_live_is_refused_with_the_switch_off
            c03_a_dry_run_is_untouched_by_the_switch
            c04_live_passes_with_the_switch_on
            c05_nothing_that_is_not_an_adapter_is_accepted
            c06_an_adapter_is_accepted
            c07_live_cut_leg_a_goes_to_its_adapter
            c08_live_write_verify_goes_to_its_adapter
            c09_live_cut_leg_b_goes_to_its_adapter
            c10_live_lifecycle_enact_goes_to_its_adapter
            c11_live_enact_verify_goes_to_its_adapter
            c12_a_live_phase_without_an_adapter_fails_closed
            c13_with_the_switch_off_all_five_phases_are_refused
            c14_dry_cut_leg_a_goes_to_its_simulator
            c15_dry_write_verify_goes_to_its_simulator
            c16_dry_lifecycle_enact_goes_to_its_simulator
            c17_three_creates_are_committed_and_not_rolled_back
            c18_a_failure_at_row_2_names_the_row_and_leaves_nothing
            c19_rows_without_title_or_body_are_refused_unconnected
            c20_three_enacts_are_committed_and_surveyed
            c21_a_failure_at_unit_2_of_enacting_rolls_back
            c22_with_the_switch_off_the_connector_is_not_reached
            c23_collaborators_that_were_not_injected_refuse
            c24_live_cut_leg_a_needs_sg_1
            c25_live_lifecycle_enact_needs_sg_2
            c26_the_runner_refuses_live_with_the_switch_off
            c27_the_runner_needs_an_adapter
            c28_the_in_process_switch_is_on_only_for_its_scope
        }
    };
}

all_checks!(on_a_fake_server: crate::backend::fake);
// The one line:
all_checks!(on_a_real_server: crate::backend::real);
