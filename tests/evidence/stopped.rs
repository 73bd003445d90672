//! A run that stopped half way has evidence of its committed phases.

use phasegate::approval::Decision;
use serde_json::Value;

use super::auditor::Auditor;
use super::{Signed, draft};
use crate::pipeline::pipeline;

/// A consistent bundle, as the auditor has it, and its in-toto predicate.
fn verified(signed: &Signed) -> (Auditor, Value) {
    let bundle = signed.collect();
    bundle.verify().expect("it is consistent");
    let auditor = Auditor::with(&bundle);
    auditor.page().expect("the page");
    let statement: Value = serde_json::from_slice(&bundle.statement().to_json()).unwrap();
    (auditor, statement["predicate"].clone())
}

#[test]
fn a_run_that_stopped_half_way_is_reported() {
    let signed = Signed::planned();
    let no_more = "ALTER TABLE item ADD CHECK (state <> 'enacted')";
    signed.database.sql(no_more);
    signed.perform(|_| ()).expect_err("the third phase fails");
    let (auditor, run) = verified(&signed);
    let said = auditor.script(&[]).expect("the script");
    assert!(
        said.contains("the run stopped: 2 of 4 phases are committed"),
        "{said}"
    );
    // It was not spent, and is there.
    assert!(
        said.contains("unspent/01-SG_2: gate \"SG_2\": approve by cat"),
        "{said}"
    );
    assert!(
        auditor
            .text("VERIFY.md")
            .contains("Its outcome: stopped, 2 of 4 phases committed")
    );
    assert_eq!(run["outcome"], "stopped");
    assert_eq!(run["phasesCommitted"], 2);
    assert_eq!(run["phases"][2]["committed"], Value::Null);
    assert_eq!(run["unspent"][0]["by"], "cat");
}

#[test]
fn a_plan_that_was_not_begun_is_reported() {
    let signed = Signed::planned();
    let (auditor, run) = verified(&signed);
    let said = auditor.script(&[]).expect("the script");
    assert!(
        said.contains("the run stopped: 0 of 4 phases are committed"),
        "{said}"
    );
    assert_eq!(run["outcome"], "not begun");
    assert!(
        auditor
            .text("VERIFY.md")
            .contains("Nobody has signed anything.")
    );
}

#[test]
fn a_plan_that_was_rejected_says_by_whom() {
    let signed = Signed::planned();
    let (people, rules) = (&signed.people, &signed.rules);
    let no = people.decide(&signed.plan, Decision::Reject, "SG_2", &["cat"], rules);
    let _ = signed
        .database
        .operator()
        .admit_rejection(&no, std::time::Duration::from_secs(2))
        .unwrap();
    signed.perform(|_| ()).expect_err("it was rejected");
    let (auditor, run) = verified(&signed);
    let said = auditor.script(&[]).expect("the script");
    assert!(
        said.contains("rejections/01-SG_2: gate \"SG_2\": reject by cat"),
        "{said}"
    );
    assert_eq!(run["outcome"], "rejected");
    assert_eq!(run["rejections"][0]["by"], "cat");
    assert_eq!(run["rejections"][0]["gate"], "SG_2");
    // One that was made an approval of.
    let file = "rejections/01-SG_2/01.statement.json";
    let text = auditor.text(file).replace("\"reject\"", "\"approve\"");
    std::fs::write(auditor.path(file), text).unwrap();
    auditor.sum_again();
    let said = auditor.objection();
    assert!(
        said.contains("01.statement.json: its decision is not to reject"),
        "{said}"
    );
}

#[test]
fn unsigned_approvals_are_not_verified() {
    let mut signed = Signed::planned();
    // By an authority that asks no one.
    let live = signed.database.live(signed.plan.clone());
    let _ = live
        .run(|run, on| pipeline(run, on, draft()))
        .expect("a live run");
    let bundle = signed.collect();
    bundle.verify().expect("it is consistent");
    let auditor = Auditor::with(&bundle);
    let said = auditor.objection();
    let unsigned = "journal/0001.json: the approval of gate \"SG_1\" that it spent is not signed";
    assert!(said.contains(unsigned), "{said}");
    auditor.page().expect_err("it fails at once");
    assert!(
        auditor
            .text("VERIFY.md")
            .contains("NOT SIGNED BY ANYBODY: gate `SG_1`")
    );
    signed.rules.policy.clear();
}
