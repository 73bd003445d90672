//! A run from its beginning to its end.

use serde_json::{Value, json};

use super::Signed;
use super::auditor::Auditor;

#[test]
fn a_run_is_verified_with_no_tool_of_ours() {
    let signed = Signed::performed();
    let bundle = signed.collect();
    bundle.verify().expect("it is consistent");
    let auditor = Auditor::with(&bundle);
    let said = auditor.script(&[]).expect("the script");
    for line in [
        "journal/0001.json: approvals/01-SG_1: gate \"SG_1\": approve by ada@example.org",
        "journal/0003.json: approvals/02-SG_2: gate \"SG_2\": approve by cat",
        &format!("not compared: the plan is {}", signed.plan.digest()),
        &format!(
            "not compared: the journal ends with {}",
            bundle.journal().head()
        ),
        "the evidence is consistent",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(said.matches("approve by bob").count(), 2, "{said}");
    assert!(!said.contains("stopped"), "{said}");
    let said = auditor.page().expect("the page");
    // Each statement once for each phase: two of `SG_1`, one of `SG_2`, twice; and once more by the script.
    assert_eq!(
        said.matches("Good \"phasegate\" signature").count(),
        6,
        "{said}"
    );
    assert!(said.contains("./plan.json: OK"), "{said}");
}

#[test]
fn what_the_auditor_has_from_elsewhere_is_compared() {
    let signed = Signed::performed();
    let bundle = signed.collect();
    let auditor = Auditor::with(&bundle);
    let (plan, head) = (
        signed.plan.digest().to_string(),
        bundle.journal().head().to_string(),
    );
    let keys = auditor.path("../keys");
    let write = |text: &str| std::fs::write(&keys, text).unwrap();
    write(&signed.rules.allowed_signers);
    let keys = keys.to_str().unwrap();
    let said = auditor
        .script(&["-p", &plan, "-e", &head, "-s", keys])
        .expect("all fits");
    assert!(!said.contains("not compared"), "{said}");
    let objection = auditor.script(&["-p", &head]).unwrap_err();
    assert!(objection.contains("plan.json: this is plan"), "{objection}");
    let objection = auditor.script(&["-e", &plan]).unwrap_err();
    assert!(objection.contains("journal: it ends with"), "{objection}");
    // The key of another person under a valid name.
    let key = |name: &str| signed.people.key(name);
    write(
        &signed
            .rules
            .allowed_signers
            .replace(&key("bob"), &key("eve")),
    );
    let objection = auditor.script(&["-s", keys]).unwrap_err();
    assert!(objection.contains("02.statement.json.sig"), "{objection}");
}

#[test]
fn a_key_counts_at_the_moment_at_which_the_phase_was_opened() {
    let mut signed = Signed::planned();
    let date = |format: &str, when: &str| {
        let mut date = std::process::Command::new("date");
        let said = super::signing::tool(date.args(["-u", "-d", when, format]));
        String::from_utf8(said).unwrap().trim_end().to_owned()
    };
    let end = date("+%s", "now + 4 seconds");
    let until = date("+%Y%m%d%H%M%SZ", &format!("@{end}"));
    signed.rules.allowed_signers = signed
        .people
        .allowed_signers(&format!(",valid-before=\"{until}\""));
    signed.perform(|_| ()).expect("a live run");
    let auditor = Auditor::with(&signed.collect());
    signed
        .database
        .until("the keys are not valid any more", |_| {
            date("+%s", "now") > end
        });
    auditor.script(&[]).expect("they were valid then");
    auditor.page().expect("they were valid then");
}

#[test]
fn the_statement_is_one_of_in_toto_about_the_plan() {
    let signed = Signed::performed();
    let bundle = signed.collect();
    let statement: Value = serde_json::from_slice(&bundle.statement().to_json()).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    let subject = json!([{ "name": "plan.json", "digest": { "sha256": signed.plan.digest() } }]);
    assert_eq!(statement["subject"], subject);
    let kind = statement["predicateType"].as_str().unwrap();
    assert!(
        kind.starts_with("https://") && kind.ends_with("#run-v1"),
        "{kind}"
    );
    let run = &statement["predicate"];
    assert_eq!(run["outcome"], "committed");
    assert_eq!(run["phasesCommitted"], 4);
    assert_eq!(run["journalHead"], json!(bundle.journal().head()));
    let entries = bundle.journal().verify().unwrap();
    for (entry, phase) in entries.iter().zip(run["phases"].as_array().unwrap()) {
        assert_eq!(phase["name"], json!(entry.phase));
        assert_eq!(phase["input"]["sha256"], json!(entry.input));
        let committed = &phase["committed"];
        assert_eq!(committed["openedAt"], json!(entry.opened_at));
        assert!(entry.opened_at.ends_with("+00:00"), "{}", entry.opened_at);
        assert_eq!(committed["role"], json!(entry.role));
        let by: Vec<_> = entry.approvals.iter().map(|a| json!(a.approver)).collect();
        let approvals = committed["approvals"].as_array().unwrap();
        assert_eq!(
            by,
            approvals
                .iter()
                .map(|a| a["by"].clone())
                .collect::<Vec<_>>()
        );
    }
    let first = &run["phases"][0]["committed"];
    assert_eq!(first["effects"]["public.item"]["inserted"], 2);
    assert_eq!(first["approvals"][0]["signed"][1]["by"], "bob");
    // Every file that it names is there, and is the one that it means.
    let auditor = Auditor::with(&bundle);
    let sum = |file: &Value| {
        let text = auditor.text(file.as_str().unwrap());
        json!(phasegate::Digest::of(text.as_bytes()))
    };
    let signatures = first["approvals"][0]["signed"].as_array().unwrap();
    assert!(
        signatures
            .iter()
            .all(|s| s["statement"]["sha256"] == sum(&s["file"]))
    );
    let written: Value = serde_json::from_str(&auditor.text("run.intoto.json")).unwrap();
    assert_eq!(written, statement);
}

#[test]
fn only_an_auditor_collects_and_only_of_an_admitted_plan() {
    let signed = Signed::planned();
    let mut runner = signed
        .database
        .runner
        .config()
        .connect(postgres::NoTls)
        .unwrap();
    let collect = phasegate::audit::EvidenceBundle::collect;
    let error = collect(&mut runner, signed.plan.digest()).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("GRANT phasegate_auditor TO"), "{hint}");
    let unknown = phasegate::Digest::of(b"unknown");
    let error = collect(&mut signed.database.admin(), unknown).unwrap_err();
    assert!(
        matches!(error, phasegate::audit::EvidenceError::NoSuchPlan(plan) if plan == unknown),
        "{error}"
    );
}

#[test]
fn the_script_is_the_one_whose_sum_is_published() {
    let script = include_bytes!("../../src/evidence/verify.sh");
    let sum = phasegate::Digest::of(script).to_string();
    let page = include_str!("../../docs/evidence.md");
    assert!(page.contains(&format!("\n    {sum}\n")), "it is {sum}");
    let bundle = Signed::planned().collect();
    assert_eq!(Auditor::with(&bundle).text("verify.sh").as_bytes(), script);
}
