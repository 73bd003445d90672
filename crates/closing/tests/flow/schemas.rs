//! What a command writes with `--json` is as the schemas of `docs/schemas` say.

use std::fs;

use serde_json::Value;

/// Returns the object, which has the schema that it names.
#[track_caller]
pub(crate) fn validated(object: &Value) -> Value {
    let name = object["schema"].as_str().unwrap();
    let name = name.strip_suffix("/1").unwrap();
    let command = name
        .strip_prefix("phasegate/cli/")
        .or(name.strip_prefix("phasegate/"))
        .unwrap();
    let path = format!(
        "{}/../../docs/schemas/{command}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let schema = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let flaws: Vec<String> = validator
        .iter_errors(object)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(flaws.is_empty(), "{flaws:#?}\n{object:#}");
    object.clone()
}

#[test]
fn a_schema_refuses_what_it_does_not_describe() {
    let path = format!("{}/../../docs/schemas/run.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let golden = fs::read_to_string(format!(
        "{}/tests/golden/run.json",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    assert!(validator.is_valid(&golden), "{golden}");
    for member in golden.as_object().unwrap().keys() {
        let mut lacking = golden.clone();
        lacking.as_object_mut().unwrap().remove(member);
        assert!(!validator.is_valid(&lacking), "valid without {member}");
    }
    let mut failed = golden.clone();
    failed["error"] = failed["result"].take();
    assert!(!validator.is_valid(&failed), "an error without a code");
}

#[test]
fn every_golden_file_is_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(format!("{}/tests/golden", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let golden = fs::read(entry.unwrap().path()).unwrap();
        validated(&serde_json::from_slice(&golden).unwrap());
        seen += 1;
    }
    assert!(seen >= 3);
}
