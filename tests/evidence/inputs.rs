//! The inputs, the statements, the definitions and the program are part of the evidence.

use std::fs;

use super::Signed;
use super::auditor::Auditor;

fn auditor() -> (Auditor, Signed) {
    let (signed, inputs) = Signed::rehearsed();
    signed.perform(|_| ()).expect("a live run");
    let bundle = signed.collect().with_inputs(&inputs).unwrap();
    bundle.verify().unwrap();
    (Auditor::with(&bundle), signed)
}

#[test]
fn the_bundle_has_the_inputs_and_they_are_those_of_the_plan() {
    let (auditor, _) = auditor();
    let files = auditor.files();
    for file in [
        "inputs/01-draft.json",
        "inputs/02-check.json",
        "inputs/04-publish.json",
    ] {
        assert!(
            files.iter().any(|there| there == file),
            "{file} in {files:?}"
        );
    }
    assert_eq!(
        auditor.text("inputs/01-draft.json"),
        r#"{"rows":["a","b"]}"#
    );
    auditor.script(&[]).unwrap();
    auditor.page().unwrap();
}

#[test]
fn another_input_is_named_although_its_sum_was_written_again() {
    for (file, place) in [
        ("inputs/01-draft.json", "01-draft"),
        ("inputs/09-draft.json", "09-draft"),
    ] {
        let (auditor, _) = auditor();
        fs::write(auditor.path(file), r#"{"rows":["a","c"]}"#).unwrap();
        auditor.sum_again();
        let objection = auditor.objection();
        assert!(
            objection.contains(place) && objection.contains("not the input that the plan names"),
            "{objection}"
        );
    }
}

#[test]
fn two_inputs_that_changed_places_are_named() {
    let (auditor, _) = auditor();
    let (first, second) = ("inputs/01-draft.json", "inputs/02-check.json");
    let (one, other) = (auditor.text(first), auditor.text(second));
    fs::write(auditor.path(first), other).unwrap();
    fs::write(auditor.path(second), one).unwrap();
    auditor.sum_again();
    assert!(auditor.objection().contains("01-draft"));
}

#[test]
fn the_inputs_of_another_plan_are_not_added() {
    let (signed, _) = Signed::rehearsed();
    let (_, inputs) = Signed::rehearsed();
    let error = signed.collect().with_inputs(&inputs).unwrap_err();
    assert_eq!(error.code(), "inputs_of_another_plan");
}

#[test]
fn the_in_toto_statement_names_what_the_plan_binds() {
    let (auditor, signed) = auditor();
    let statement: serde_json::Value =
        serde_json::from_str(&auditor.text("run.intoto.json")).unwrap();
    let dependencies = statement["predicate"]["resolvedDependencies"]
        .as_array()
        .unwrap();
    let digest_of = |name: &str| {
        let found = dependencies.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {dependencies:?}"))["digest"]["sha256"].clone()
    };
    let plan = &signed.plan;
    assert_eq!(
        digest_of("input of draft"),
        plan.phases()[0].input().to_string()
    );
    let statement = plan.phases()[0].statements().unwrap().next().unwrap();
    let sha256 = phasegate::Digest::of(statement.as_bytes()).to_string();
    assert_eq!(digest_of("statement 1"), sha256);
    let table = plan.means().unwrap().objects()["table public.item"];
    assert_eq!(digest_of("table public.item"), table.to_string());
    let program = plan.program().unwrap();
    let name = format!("program {}", program.name());
    assert_eq!(digest_of(&name), program.sha256().to_string());
}
