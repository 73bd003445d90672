//! The report says what the evidence says, and what of it was verified.

use phasegate::Digest;
use phasegate::audit::Report;
use serde_json::Value;

use super::Signed;

fn read(report: &Report) -> Value {
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    let schema = include_str!("../../docs/schemas/report-1.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&json)
        .map(|it| it.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    json
}

fn results(json: &Value) -> Vec<&str> {
    let checks = json["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|it| it["result"].as_str().unwrap())
        .collect()
}

#[test]
fn a_run_is_reported_as_the_journal_has_it() {
    let signed = Signed::performed();
    let bundle = signed.collect();
    let report = Report::of(&bundle);
    let json = read(&report);
    let sentence = json["verdict"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("4 of 4 phases committed between 2"),
        "{sentence}"
    );
    assert!(sentence.ends_with(", as planned."), "{sentence}");
    assert_eq!(json["verdict"]["verified"], "yes");
    let missing = "not compared";
    assert_eq!(
        results(&json),
        ["yes", "yes", "yes", missing, missing, missing]
    );
    let entries = bundle.journal().verify().unwrap();
    for (phase, entry) in json["phases"].as_array().unwrap().iter().zip(&entries) {
        assert_eq!(phase["name"], *entry.phase);
        assert_eq!(phase["committed"]["xid"], *entry.xid);
    }
    let first = &json["phases"][0]["tables"][0];
    assert_eq!((&first["planned"], &first["seen"]), (&2.into(), &2.into()));
    let sg1 = &json["approvals"][0];
    assert_eq!(
        sg1["signed_by"],
        serde_json::json!(["ada@example.org", "bob"])
    );
    assert_eq!(sg1["spent"][0]["xid"], *entries[0].xid);
    let (html, markdown) = (report.to_html(), report.to_markdown());
    for text in [&html, &markdown] {
        assert!(
            text.contains(sentence) && text.contains("ada@example.org"),
            "{text}"
        );
        assert!(text.contains(&signed.plan.digest().to_string()), "{text}");
        assert!(
            text.contains("✓ as planned") && !text.contains("differs"),
            "{text}"
        );
    }
    assert!(html.contains("✓ verified: yes"));
    assert!(markdown.contains("**Verified: yes**"));
}

#[test]
fn what_is_known_from_elsewhere_is_compared() {
    let signed = Signed::performed();
    let bundle = signed.collect();
    let (plan, head) = (signed.plan.digest(), bundle.journal().head());
    let signers = signed.rules.allowed_signers.clone();
    let same = Report::of(&bundle)
        .compare_plan(plan)
        .compare_head(head)
        .compare_signers("my_signers", signers);
    assert_eq!(results(&read(&same)), ["yes"; 6]);
    let other = Digest::of(b"another");
    for (n, report) in [
        (3, Report::of(&bundle).compare_plan(other)),
        (4, Report::of(&bundle).compare_head(other)),
        (5, Report::of(&bundle).compare_signers("mine", "x")),
    ] {
        let json = read(&report);
        assert_eq!(results(&json)[n], "no");
        assert_eq!(json["verdict"]["verified"], "no");
        assert!(report.to_html().contains("✗ verified: NO"));
        assert!(report.to_markdown().contains("**Verified: no**"));
    }
}

#[test]
fn evidence_that_was_changed_is_not_verified() {
    let signed = Signed::performed();
    signed.database.sql(
        "ALTER TABLE phasegate.approval DISABLE TRIGGER never_changed; \
         UPDATE phasegate.approval SET approver = 'mallory' WHERE gate = 'SG_2'",
    );
    let report = Report::of(&signed.collect());
    let json = read(&report);
    assert_eq!(json["verdict"]["verified"], "no");
    assert_eq!(&results(&json)[..2], ["yes", "no"]);
}

#[test]
fn a_run_that_stopped_or_did_not_begin_is_reported() {
    let signed = Signed::planned();
    let json = read(&Report::of(&signed.collect()));
    assert_eq!(json["verdict"]["outcome"], "not begun");
    assert_eq!(json["verdict"]["verified"], "in part");
    assert_eq!(json["phases"][0]["tables"][0]["seen"], Value::Null);
    let no_more = "ALTER TABLE item ADD CHECK (state <> 'enacted')";
    signed.database.sql(no_more);
    signed.perform(|_| ()).expect_err("the third phase fails");
    let report = Report::of(&signed.collect());
    let json = read(&report);
    assert_eq!(json["verdict"]["outcome"], "stopped");
    let sentence = json["verdict"]["sentence"].as_str().unwrap();
    assert!(
        sentence.starts_with("2 of 4 phases committed"),
        "{sentence}"
    );
    assert!(report.to_html().contains("not reached"));
}
