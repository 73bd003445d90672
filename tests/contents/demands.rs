//! A gate's policy demands that the changes of named tables are bound.

use phasegate::ssh::{AllowedSigners, Demand, GateRule, Policy, SignedApprovals};
use phasegate::testing::SshSigner;
use phasegate::{Failure, PhaseTx, Plan, Sg1};

use crate::server::Database;
use crate::{plan_of_columns, plan_of_values, rehearse, shop};

fn bills(tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    tx.execute("UPDATE shop.orders SET cents = 1 WHERE id < 5", &[])?;
    Ok(())
}

/// What a policy that demands this says of the plan; `None` if it has it.
fn denied(plan: &Plan, demand: Demand) -> Option<(String, String)> {
    let ada = SshSigner::new("ada");
    let rule = GateRule::of(["ada"]).demand(demand);
    let policy = Policy::builder().gate::<Sg1>(rule).build().unwrap();
    let policy = Policy::from_json(policy.to_json().as_bytes()).unwrap();
    let signers = AllowedSigners::parse(&ada.allowed_signers_line()).unwrap();
    let approvals = SignedApprovals::new(plan, policy, signers);
    let denied = approvals.attestation("SG_1").unwrap_err();
    let said = denied.to_string();
    (said.contains("demands")).then(|| (said, denied.hint().unwrap_or_default()))
}

fn columns() -> Demand {
    Demand::ColumnsOf("shop.orders".to_owned())
}

fn values() -> Demand {
    Demand::ValuesOf("shop.orders".to_owned())
}

#[test]
fn columns_and_values_of_a_table_can_be_demanded() {
    let database = shop();
    let of_columns = plan_of_columns(&database, &bills);
    let of_values = plan_of_values(&database, &bills);
    assert_eq!(denied(&of_columns, columns()), None);
    assert_eq!(denied(&of_values, columns()), None);
    assert_eq!(denied(&of_values, values()), None);
    let (said, hint) = denied(&of_columns, values()).unwrap();
    assert!(
        said.contains("demands the values that shop.orders gets"),
        "{said}"
    );
    assert!(hint.contains("confirmed_by"), "{hint}");
}

#[test]
fn a_table_that_is_not_guarded_by_contents_does_not_meet_the_demand() {
    let database = shop();
    database.sql("SELECT phasegate.protect('shop.orders', 'counters')");
    let plan = plan_of_values(&database, &bills);
    for demand in [columns(), values()] {
        let (_, hint) = denied(&plan, demand).unwrap();
        assert!(
            hint.contains("protect('shop.orders', 'contents')"),
            "{hint}"
        );
    }
}

#[test]
fn a_plan_that_does_not_change_the_table_meets_it() {
    let plan = plan_of_values(&shop(), &|tx| {
        tx.execute("INSERT INTO shop.noted (was) VALUES ('x')", &[])?;
        Ok(())
    });
    assert_eq!(denied(&plan, values()), None);
}

/// Where each column varies, nothing is bound, and that is not enough.
#[test]
fn values_that_vary_in_every_column_do_not_meet_it() {
    let database: Database = shop();
    let varies = |tx: &mut PhaseTx<'_>| {
        tx.execute("INSERT INTO shop.noted (was) VALUES (random()::text)", &[])?;
        tx.execute(
            "UPDATE shop.noted SET was = random()::text, sort = random()::text",
            &[],
        )?;
        Ok(())
    };
    let plan = rehearse(&database, &varies).unwrap();
    let plan = plan
        .confirmed_by(&rehearse(&database, &varies).unwrap())
        .unwrap()
        .plan;
    assert!(denied(&plan, Demand::ValuesOf("shop.noted".to_owned())).is_some());
}
