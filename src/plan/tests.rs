use super::*;

/// Returns a phase as it stands in a plan's file.
fn phase(name: &str, gates: &[&str], after: &[&str], effects: &str) -> PlannedPhase {
    let input = Digest::of(name.as_bytes());
    let text = format!(
        r#"{{"name":"{name}","gates":{gates:?},"after":{after:?},"input":"{input}","input_bytes":7,"summary":"says {name}","effects":{effects}}}"#
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
        ..Heading::default()
    };
    let target = Target::new("7312", "town", "runner");
    let source = EffectsSource::Prediction;
    Plan::made(source, "cut", target, heading, phases, None).unwrap()
}

/// Returns the plan of a rehearsal: `a` has sent two statements, `b` one of them and another.
fn rehearsed(occasion: Option<&str>) -> Plan {
    let sent = |statements: &[&str]| {
        let mut sent = SentStatements::default();
        for text in statements {
            sent.record(text);
        }
        sent
    };
    let deleted = r#"{"public.item":{"inserted":0,"updated":0,"deleted":9,"tolerance":0}}"#;
    let inserted = r#"{"public.item":{"inserted":3,"updated":0,"deleted":0,"tolerance":0}}"#;
    let insert = "INSERT INTO item\n\tSELECT $1";
    let phases = vec![
        phase("a", &["SG_1"], &[], inserted).sending(sent(&["SELECT 1", insert])),
        phase("b", &[], &["a"], deleted).sending(sent(&[insert, "DELETE FROM item"])),
    ];
    let heading = Heading {
        occasion: occasion.map(str::to_owned),
        ..Heading::default()
    };
    let means = format!(
        r#"{{"all_functions":true,"objects":{{"table public.item":"{}"}}}}"#,
        Digest::of(b"item")
    );
    let source = EffectsSource::Measurement;
    let target = Target::new("7312", "town", "runner");
    let means = serde_json::from_str(&means).unwrap();
    Plan::made(source, "cut", target, heading, phases, Some(means)).unwrap()
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
fn comes_back_from_both_of_its_forms() {
    for plan in [plan(), rehearsed(None), rehearsed(Some("ticket 1207"))] {
        for saved in [plan.bytes().to_vec(), plan.saved()] {
            assert_eq!(Plan::from_saved(&saved, plan.digest()).unwrap(), plan);
            let inspected = Plan::inspect(&saved).unwrap();
            assert_eq!(inspected.digest(), plan.digest());
            assert_eq!(inspected.to_string(), plan.to_string());
        }
    }
}

#[test]
fn the_occasion_tells_two_plans_of_one_change_apart() {
    let (first, second) = (rehearsed(Some("monday")), rehearsed(Some("tuesday")));
    assert_ne!(first.digest(), second.digest());
    assert_eq!(first.change(), second.change());
    assert_eq!(first.change(), rehearsed(None).change());
    assert_ne!(first.change(), plan().change());
}

#[test]
fn a_phase_may_send_its_own_statements_only() {
    let plan = rehearsed(None);
    let plan = Plan::from_saved(plan.bytes(), plan.digest()).unwrap();
    let [a, b] = plan.phases() else { panic!() };
    assert!(a.may_send("SELECT 1") && !a.may_send("DELETE FROM item"));
    assert!(b.may_send("DELETE FROM item") && !b.may_send("SELECT 1"));
    assert!(!b.may_send("DELETE FROM item "));
    assert_eq!(b.statements().unwrap().nth(1), Some("DELETE FROM item"));
    assert!(plan.shows_statements());
    let dry = self::plan();
    assert!(dry.phases()[0].may_send("anything"));
    assert!(!dry.shows_statements());
}

#[test]
fn the_list_of_statements_has_those_of_the_phases_once_and_in_order() {
    let plan = rehearsed(None);
    let text = str::from_utf8(plan.bytes()).unwrap();
    for (from, to, what) in [
        (
            r#""listed":[1,2]"#,
            r#""listed":[1,4]"#,
            "sends statement 4",
        ),
        (
            r#""listed":[1,2]"#,
            r#""listed":[0,2]"#,
            "sends statement 0",
        ),
        (
            r#""listed":[1,2]"#,
            r#""listed":[1,1]"#,
            "statement 1 twice",
        ),
        (
            r#""listed":[1,2]"#,
            r#""listed":[2,1]"#,
            "statement 2 is sent before statement 1",
        ),
        (
            r#""listed":[2,3]"#,
            r#""listed":[2]"#,
            "no phase sends statement 3",
        ),
        (
            r#""SELECT 1","#,
            r#""DELETE FROM item","#,
            "one statement twice",
        ),
        ("SELECT 1", r"SELECT \u202e1", "statement 1 has a character"),
        ("SELECT 1", "SELECT 2", "digest of its own change"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let altered = text.replacen(from, to, 1);
        match Plan::inspect(altered.as_bytes()).unwrap_err() {
            PlanError::Flawed(flaw) => assert!(flaw.contains(what), "{flaw}"),
            error => panic!("{from}: {error}"),
        }
    }
}

#[test]
fn people_read_what_is_deleted_first_and_each_statement_once() {
    let plan = rehearsed(Some("ticket 1207"));
    let shown = plan.to_string();
    let places = [
        "occasion: ticket 1207",
        "digest of the change: ",
        "uses, as they were: table public.item\n",
        "in all, 2 phases:\n   deletes 9 of public.item, in b\n   inserts 3 of public.item, in a\n",
        "1. a: behind SG_1",
        "   sends | SELECT 1\n   sends | INSERT INTO item\n         | \tSELECT $1\n",
        "2. b: no approval needed; after a",
        "   sends the statement of phase 1: INSERT INTO item ..\n   sends | DELETE FROM item\n",
    ]
    .map(|part| {
        shown
            .find(part)
            .unwrap_or_else(|| panic!("{part} in {shown}"))
    });
    assert!(places.is_sorted(), "{shown}");
}

#[test]
fn the_differences_of_two_plans_are_named() {
    let (dry, rehearsal) = (plan(), rehearsed(Some("ticket 1207")));
    assert!(dry.differences(&dry).is_empty());
    let all = dry.differences(&rehearsal).to_string();
    for line in [
        "source: dry run -> rehearsal",
        "occasion: added, ticket 1207",
        "author: removed, it was ada",
        "definition of table public.item: added",
        "a: rows of public.item: inserted 3 (give or take 1) -> inserted 3",
        "a: statement `SELECT 1`: added, sent",
        "a: statements: removed, it was not known",
        "b: rows of public.item: added, deleted 9",
    ] {
        assert!(all.contains(line), "{line} in {all}");
    }
    assert!(!all.contains("place"), "{all}");
}

#[test]
fn its_form_is_fixed() {
    let text = String::from_utf8(plan().bytes().to_vec()).unwrap();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    assert_eq!(
        text,
        format!(
            concat!(
                r#"{{"author":"ada","change":"{}","made_by":"dry run","phases":["#,
                r#"{{"after":[],"effects":{{"public.item":{{"deleted":0,"inserted":3,"tolerance":1,"updated":0}}}},"#,
                r#""gates":["SG_1"],"input":"{}","input_bytes":7,"name":"a","summary":"says a"}},"#,
                r#"{{"after":["a"],"effects":{{}},"gates":[],"input":"{}","input_bytes":7,"name":"b","summary":"says b"}}],"#,
                r#""pipeline":"cut","schema":"phasegate/plan/2","#,
                r#""target":{{"database":"town","role":"runner","system_identifier":"7312"}},"#,
                r#""valid_until":"1970-01-02T00:00:00Z"}}"#
            ),
            plan().change(),
            a,
            b
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
             digest of the change: {}\n\
             \nin all, 2 phases:\n   inserts 3 of public.item, in a\n\
             \n1. a: behind SG_1\n   says a\n   public.item: inserted 3 (give or take 1)\n   input {a}, 7 bytes\n   statements: not known (dry run)\n\
             \n2. b: no approval needed; after a\n   says b\n   changes nothing\n   input {b}, 7 bytes\n   statements: not known (dry run)\n",
            plan.digest(),
            plan.change()
        )
    );
}

#[test]
fn another_digest_is_refused() {
    let error = Plan::from_saved(plan().bytes(), rehearsed(None).digest()).unwrap_err();
    assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
    let (bytes, _) = altered("\"author\":\"ada\"", "\"author\":\"ben\"");
    let error = Plan::from_saved(&bytes, plan().digest()).unwrap_err();
    assert!(matches!(error, PlanError::NotApproved { .. }), "{error}");
}

#[test]
fn each_flaw_has_its_own_refusal() {
    let error = refusal("plan/2", "plan/1");
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
        let refused = matches!(error, PlanError::NotCanonical | PlanError::Flawed(_));
        assert!(refused, "{error}");
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
        None,
    );
    assert_eq!(none.unwrap_err(), "it has no phase");
    let error = refusal(
        str::from_utf8(plan().bytes()).unwrap(),
        r#"{"change":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","made_by":"dry run","phases":[],"pipeline":"cut","schema":"phasegate/plan/2","target":{"database":"d","role":"r","system_identifier":"1"}}"#,
    );
    assert!(matches!(error, PlanError::Flawed(_)), "{error}");
    let huge = vec![b'['; 16 * 1024 * 1024 + 1];
    let error = Plan::from_saved(&huge, Digest::of(&huge)).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge), "{error}");
    let deep = vec![b'['; 100_000];
    let error = Plan::from_saved(&deep, Digest::of(&deep)).unwrap_err();
    assert!(matches!(error, PlanError::Malformed(_)), "{error}");
    let mut deep = br#"{"schema":"phasegate/plan/2","x":"#.to_vec();
    deep.extend(vec![b'['; 100_000]);
    deep.extend(vec![b']'; 100_000]);
    deep.push(b'}');
    let error = Plan::from_saved(&deep, Digest::of(&deep)).unwrap_err();
    assert!(matches!(error, PlanError::Malformed(_)), "{error}");
}
