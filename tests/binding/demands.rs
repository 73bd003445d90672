//! What a gate's policy demands of a plan, before anybody may approve it.

use std::time::Duration;

use phasegate::approval::ApprovalStatement;
use phasegate::ssh::{AllowedSigners, Demand, GateRule, Policy, SignedApprovals};
use phasegate::testing::SshSigner;
use phasegate::{Plan, Sg1};

use crate::pipeline::Draft;
use crate::server::{database, drafting_plan};
use crate::{inserts, rehearse};

/// The approvals of a plan, signed by ada, where the policy of the gate has these demands.
fn approvals(plan: &Plan, demands: &[Demand]) -> SignedApprovals {
    let ada = SshSigner::new("ada");
    let rule = GateRule::of(["ada"]).author_may_approve();
    let rule = demands
        .iter()
        .fold(rule, |rule, demand| rule.demand(demand.clone()));
    let policy = Policy::builder().gate::<Sg1>(rule).build().unwrap();
    // The demands are part of the policy's file.
    let policy = Policy::from_json(policy.to_json().as_bytes()).unwrap();
    let signers = AllowedSigners::parse(&ada.allowed_signers_line()).unwrap();
    let mut approvals = SignedApprovals::new(plan, policy, signers);
    let statement = ApprovalStatement::for_gate::<Sg1>(plan)
        .lasting(Duration::from_hours(1))
        .build()
        .unwrap();
    let (text, signature) = ada.sign(&statement).unwrap();
    approvals.add(&text, &signature).unwrap();
    approvals
}

#[test]
fn a_plan_whose_statements_are_not_known_is_not_approved_where_they_are_demanded() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let dry = drafting_plan(&database.target, &draft);
    let denied = approvals(&dry, &[Demand::Statements])
        .attestation("SG_1")
        .unwrap_err();
    assert!(
        denied
            .to_string()
            .contains("demands the text of each statement"),
        "{denied}"
    );
    assert!(denied.hint().unwrap().contains("rehearsal"));
    assert!(
        approvals(&dry, &[Demand::Statements])
            .attestations()
            .unwrap()
            .is_empty()
    );
    assert!(approvals(&dry, &[]).attestation("SG_1").is_ok());

    let rehearsed = rehearse(&database, &draft, inserts).unwrap().plan;
    let demands = [Demand::Statements, Demand::Functions];
    assert!(approvals(&rehearsed, &demands).attestation("SG_1").is_ok());
}

#[test]
fn a_plan_that_shows_some_statements_only_does_not_meet_the_demand() {
    let database = database();
    let plan = rehearse(&database, &Draft::of(&["a"]), |draft, tx| {
        for n in 0..100 {
            tx.execute(&*format!("SELECT {n}"), &[])?;
        }
        inserts(draft, tx)
    });
    let plan = plan.unwrap().plan;
    assert!(
        approvals(&plan, &[Demand::Statements])
            .attestation("SG_1")
            .is_err()
    );
}

#[test]
fn an_unknown_demand_is_refused() {
    let policy = r#"{"schema":"phasegate/policy/1","gates":{"SG_1":{"approvers":["ada"],"needs":1,"longest_life":60,
        "demands":["sentences"]}}}"#;
    let refused = Policy::from_json(policy.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("sentences"), "{refused}");
}
