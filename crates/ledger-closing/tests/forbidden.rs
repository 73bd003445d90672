//! Each call that `clippy.toml` forbids, where clippy is expected to report it: an entry that no longer matches an item
//! leaves an expectation unfulfilled, and `cargo clippy --all-targets -- -D warnings` fails.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use phasegate::approval::{ApprovalStatement, Attestation, UnsignedApprovals};
use phasegate::operator::Operator;
use phasegate::prelude::*;
use phasegate::switch::InProcessSwitch;

#[expect(clippy::disallowed_methods)]
fn approves_by_itself(statement: ApprovalStatement) -> Attestation {
    Attestation::assert_verified(statement, "nobody")
}

#[expect(clippy::disallowed_methods)]
fn approves_unsigned(approvals: &mut UnsignedApprovals, plan: &Plan) {
    let _ = approvals.approve::<Sg1>(plan, "nobody", "", Duration::from_mins(1));
}

#[expect(clippy::disallowed_methods)]
fn runs_live_with_privileges() -> LiveRunner {
    LiveRunner::new("closing").dangerously_allow_privileged_role()
}

#[expect(clippy::disallowed_methods)]
fn rehearses_with_privileges() -> RehearsalRunner {
    RehearsalRunner::new("closing").dangerously_allow_privileged_role()
}

#[expect(clippy::disallowed_methods)]
fn removes_the_guard(client: &mut postgres::Client) {
    phasegate::schema::unprotect(client, "ledger.account").unwrap();
}

#[expect(clippy::disallowed_methods)]
fn admits_its_own_plan(operator: &mut Operator, plan: &Plan) {
    let _ = operator.admit_plan(plan).unwrap();
}

#[expect(clippy::disallowed_methods)]
fn admits_its_own_approval(operator: &mut Operator, approval: &Attestation) {
    operator.admit_approval(approval).unwrap();
}

#[expect(clippy::disallowed_methods)]
fn turns_the_switch_of_the_database_on(operator: &mut Operator) {
    let hour = Duration::from_hours(1);
    operator.switch_on("because", hour).unwrap();
}

#[expect(clippy::disallowed_methods)]
fn turns_its_own_switch_on(switch: &InProcessSwitch) {
    switch.on_while(|| ());
}

#[expect(clippy::disallowed_methods)]
fn connects_by_a_configuration(config: &postgres::Config) {
    config.connect(postgres::NoTls).unwrap();
}

#[expect(clippy::disallowed_methods)]
fn connects_by_a_text() {
    postgres::Client::connect("host=ledger", postgres::NoTls).unwrap();
}

#[expect(clippy::disallowed_methods)]
fn starts_a_program() {
    let _ = std::process::Command::new("psql");
}

#[test]
fn each_forbidden_call_compiles_and_clippy_reports_it() {
    // The functions are never called: `cargo clippy` reads them.
    let _ = (
        approves_by_itself,
        approves_unsigned,
        runs_live_with_privileges,
        rehearses_with_privileges,
        removes_the_guard,
        admits_its_own_plan,
        admits_its_own_approval,
        turns_the_switch_of_the_database_on,
    );
    let _ = (
        turns_its_own_switch_on,
        connects_by_a_configuration,
        connects_by_a_text,
        starts_a_program,
    );
}
