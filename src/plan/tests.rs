use super::*;

/// Returns a phase as it stands in a plan's file.
fn phase(name: &str, gates: &[&str], after: &[&str], effects: &str) -> PlannedPhase {
    let input = Digest::of(name.as_bytes());
    let text = format!(
        r#"{{"name":"{name}","gates":{gates:?},"after":{after:?},"input":"{input}","summary":"says {name}","effects":{effects}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn plan() -> Plan {
    let inserted = r#"{"public.item":{"inserted":3,"updated":0,"deleted":0,"tolerance":1}}"#;
    let phases = vec![
        phase("a", &["SG_1"], &[], inserted),
        phase("b", &[], &["a"], "{}"),
    ];
    let heading = Heading {
        author: Some("ada".to_owned()),
        last_editor: None,
        valid_until: Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_hours(24)),
    };
    let target = Target::new("7312", "town", "runner");
    Plan::made(EffectsSource::Prediction, "cut", target, heading, phases).unwrap()
}

/// Returns the plan's bytes with `from` replaced by `to`, and the digest that would approve them.
fn altered(from: &str, to: &str) -> (Vec<u8>, Digest) {
    let text = String::from_utf8(plan().bytes().to_vec()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    let bytes = text.replacen(from, to, 1).into_bytes();
    let digest = Digest::of(&bytes);
    (bytes, digest)
}

fn refusal(from: &str, to: &str) -> PlanError {
    let (bytes, digest) = altered(from, to);
    Plan::from_saved(&bytes, digest).unwrap_err()
}

#[test]
fn comes_back_from_its_own_bytes() {
    let plan = plan();
    assert_eq!(Plan::from_saved(plan.bytes(), plan.digest()).unwrap(), plan);
}

#[test]
fn its_form_is_fixed() {
    let text = String::from_utf8(plan().bytes().to_vec()).unwrap();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(
        text,
        format!(
            concat!(
                r#"{{"author":"ada","made_by":"dry run","phases":["#,
                r#"{{"after":[],"effects":{{"public.item":{{"deleted":0,"inserted":3,"tolerance":1,"updated":0}}}},"#,
                r#""gates":["SG_1"],"input":"{}","name":"a","summary":"says a"}},"#,
                r#"{{"after":["a"],"effects":{{}},"gates":[],"input":"{}","name":"b","summary":"says b"}}],"#,
                r#""pipeline":"cut","schema":"phasegate/plan/1","#,
                r#""target":{{"database":"town","role":"runner","system_identifier":"7312"}},"#,
                r#""valid_until":"1970-01-02T00:00:00Z"}}"#
            ),
            a, b
        )
    );
}

#[test]
fn people_read_every_phase_with_what_it_does() {
    let plan = plan();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(
        plan.to_string(),
        format!(
            "plan {}\n\
             pipeline `cut`, made by a dry run of ada, valid until 1970-01-02T00:00:00Z\n\
             for database `town` of cluster 7312 as role `runner`\n\
             \n1. a: behind SG_1\n   says a\n   input {a}\n   public.item: inserted 3 (give or take 1)\n\
             \n2. b: no approval needed; after a\n   says b\n   input {b}\n   changes nothing\n",
            plan.digest()
        )
    );
}

#[test]
fn another_digest_is_refused_before_anything_is_parsed() {
    let error = Plan::from_saved(b"not even JSON", plan().digest()).unwrap_err();
    assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
    let (bytes, _) = altered("town", "city");
    let error = Plan::from_saved(&bytes, plan().digest()).unwrap_err();
    assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
}

#[test]
fn each_flaw_has_its_own_refusal() {
    let error = refusal("plan/1", "plan/2");
    assert!(matches!(error, PlanError::UnknownSchema { .. }), "{error}");
    for (from, to) in [
        ("{\"author\"", "{ \"author\""),
        ("\"author\":\"ada\"", "\"author\":null"),
        ("\"inserted\":3", "\"inserted\":3.0"),
        ("1970-01-02T00:00:00Z\"}", "1970-01-02T00:00:00Z\"}\n"),
        ("says a", "says \\u0061"),
    ] {
        let error = refusal(from, to);
        let refused = matches!(error, PlanError::NotCanonical | PlanError::Malformed(_));
        assert!(refused, "{from}: {error}");
    }
    for (from, to) in [
        ("\"role\"", "\"rank\""),
        ("\"pipeline\"", "\"extra\":1,\"pipeline\""),
        (
            "\"pipeline\":\"cut\"",
            "\"pipeline\":\"cut\",\"pipeline\":\"cut\"",
        ),
        ("\"inserted\":3", "\"inserted\":-3"),
        ("\"inserted\":3", "\"inserted\":1e999"),
        (
            "\"inserted\":3",
            "\"inserted\":99999999999999999999999999999",
        ),
        ("\"made_by\":\"dry run\"", "\"made_by\":\"hand\""),
        ("1970-01-02T00:00:00Z", "tomorrow"),
    ] {
        let error = refusal(from, to);
        assert!(matches!(error, PlanError::Malformed(_)), "{from}: {error}");
    }
    for (from, to, what) in [
        ("\"name\":\"b\"", "\"name\":\"a\"", "`a` twice"),
        ("\"name\":\"b\"", "\"name\":\"\"", "its name has 0 bytes"),
        (
            "\"name\":\"b\"",
            "\"name\":\"b \"",
            "begins or ends with a space",
        ),
        ("\"name\":\"b\"", "\"name\":\"c\u{430}t\"", "as character 2"),
        ("\"SG_1\"", "\"SG_1 \"", "its gate \"SG_1 \" begins or ends"),
        (
            "\"after\":[\"a\"]",
            "\"after\":[\"z\"]",
            "comes after `z`, and no phase before it",
        ),
        ("says a", "says \\u001b[2J", "\\u{1b}"),
        ("says a", "says \u{202e}a", "\\u{202e}"),
        ("\"ada\"", "\"a\u{200f}da\"", "\\u{200f}"),
        ("public.item", "item", "`item` is not the name of a table"),
        ("\"inserted\":3", "\"inserted\":0", "nothing is done"),
        (
            "\"inserted\":3",
            "\"inserted\":9007199254740993",
            "more than 2^53",
        ),
    ] {
        match refusal(from, to) {
            PlanError::Flawed(flaw) => assert!(flaw.contains(what), "{flaw}"),
            error => panic!("{from}: {error}"),
        }
    }
    let long = "x".repeat(401);
    assert!(matches!(refusal("says a", &long), PlanError::Flawed(_)));
}

#[test]
fn a_table_twice_is_not_canonical() {
    let once = r#""public.item":{"deleted":0,"inserted":3,"tolerance":1,"updated":0}"#;
    let other = r#""public.item":{"deleted":9,"inserted":3,"tolerance":1,"updated":0}"#;
    for twice in [
        format!("{once},{other}"),
        format!("{other},{once}"),
        format!("{once},{once}"),
    ] {
        let error = refusal(once, &twice);
        assert!(matches!(error, PlanError::NotCanonical), "{error}");
    }
}

#[test]
fn cut_off_anywhere_it_is_refused_as_cut_off() {
    let plan = plan();
    for length in 0..plan.bytes().len() {
        let cut = &plan.bytes()[..length];
        let error = Plan::from_saved(cut, Digest::of(cut)).unwrap_err();
        assert!(
            matches!(error, PlanError::Truncated { length: found } if found == length),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_plan_without_phases_or_without_bounds_is_refused() {
    let target = Target::new("1", "d", "r");
    let none = Plan::made(
        EffectsSource::Prediction,
        "cut",
        target,
        Heading::default(),
        Vec::new(),
    );
    assert_eq!(none.unwrap_err(), "it has no phase");
    let error = refusal(
        str::from_utf8(plan().bytes()).unwrap(),
        r#"{"made_by":"dry run","phases":[],"pipeline":"cut","schema":"phasegate/plan/1","target":{"database":"d","role":"r","system_identifier":"1"}}"#,
    );
    assert!(matches!(error, PlanError::Flawed(_)), "{error}");
    let huge = vec![b'['; 16 * 1024 * 1024 + 1];
    let error = Plan::from_saved(&huge, Digest::of(&huge)).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge), "{error}");
    let deep = vec![b'['; 100_000];
    let error = Plan::from_saved(&deep, Digest::of(&deep)).unwrap_err();
    assert!(matches!(error, PlanError::Malformed(_)), "{error}");
    let mut deep = br#"{"schema":"phasegate/plan/1","x":"#.to_vec();
    deep.extend(vec![b'['; 100_000]);
    deep.extend(vec![b']'; 100_000]);
    deep.push(b'}');
    let error = Plan::from_saved(&deep, Digest::of(&deep)).unwrap_err();
    assert!(matches!(error, PlanError::Malformed(_)), "{error}");
}
