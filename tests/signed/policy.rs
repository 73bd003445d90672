//! The policy: what it says, and that one which contradicts itself is refused.

use std::time::Duration;

use phasegate::{
    Sg1, Sg2,
    ssh::{GateRule, Policy, PolicyError},
};

fn rule() -> GateRule {
    GateRule::of(["ada", "grace", "mary"])
}

fn with(rule: GateRule) -> Result<Policy, PolicyError> {
    Policy::builder().gate::<Sg1>(rule).build()
}

#[test]
fn it_comes_back_from_its_file_and_its_form_is_fixed() {
    let policy = Policy::builder()
        .gate::<Sg2>(rule().other_people_than::<Sg1>().author_may_approve())
        .gate::<Sg1>(rule().needs(2).longest_life(Duration::from_secs(90)))
        .build()
        .unwrap();
    let written = concat!(
        r#"{"gates":{"#,
        r#""SG_1":{"approvers":["ada","grace","mary"],"author_may_approve":false,"longest_life":90,"needs":2,"other_people_than":[]},"#,
        r#""SG_2":{"approvers":["ada","grace","mary"],"author_may_approve":true,"longest_life":86400,"needs":1,"other_people_than":["SG_1"]}"#,
        r#"},"schema":"phasegate/policy/1"}"#
    );
    assert_eq!(policy.to_json(), written);
    assert_eq!(Policy::from_json(written.as_bytes()).unwrap(), policy);
    let by_hand = r#"{ "schema": "phasegate/policy/1",
        "gates": { "SG_2": { "approvers": ["ada", "grace", "mary"], "needs": 1, "longest_life": 86400,
                             "other_people_than": ["SG_1"], "author_may_approve": true },
                   "SG_1": { "approvers": ["ada", "grace", "mary"], "needs": 2, "longest_life": 90 } } }"#;
    assert_eq!(Policy::from_json(by_hand.as_bytes()).unwrap(), policy);
}

#[test]
fn one_that_contradicts_itself_is_refused() {
    let is = |policy: Result<Policy, PolicyError>, is: fn(&PolicyError) -> bool| {
        let error = policy.unwrap_err();
        assert!(is(&error), "{error}");
    };
    is(Policy::builder().build(), |e| {
        matches!(e, PolicyError::NoGate)
    });
    is(with(GateRule::of([""; 0])), |e| {
        matches!(e, PolicyError::NoApprovers { .. })
    });
    is(with(GateRule::of(["ada", "ada"])), |e| {
        matches!(e, PolicyError::Twice { .. })
    });
    is(with(rule().needs(0)), |e| {
        matches!(e, PolicyError::NeedsNobody { .. })
    });
    is(with(rule().needs(4)), |e| {
        matches!(
            e,
            PolicyError::NeedsTooMany {
                needs: 4,
                approvers: 3,
                ..
            }
        )
    });
    is(with(rule().longest_life(Duration::from_millis(900))), |e| {
        matches!(e, PolicyError::NoLife { .. })
    });
    is(with(rule().longest_life(Duration::MAX)), |e| {
        matches!(e, PolicyError::NoLife { .. })
    });
    is(with(rule().other_people_than::<Sg1>()), |e| {
        matches!(e, PolicyError::NoOtherGate { .. })
    });
    is(with(rule().other_people_than::<Sg2>()), |e| {
        matches!(e, PolicyError::NoOtherGate { .. })
    });
    is(with(GateRule::of(["a\u{202e}"])), |e| {
        matches!(e, PolicyError::Name { .. })
    });
}

#[test]
fn a_file_with_a_member_twice_or_unknown_is_refused() {
    let written = with(rule()).unwrap().to_json();
    let altered = |from: &str, to: &str| {
        assert!(written.contains(from), "{from}");
        Policy::from_json(written.replacen(from, to, 1).as_bytes()).unwrap_err()
    };
    let error = altered("policy/1", "policy/2");
    assert!(
        matches!(error, PolicyError::UnknownSchema { .. }),
        "{error}"
    );
    for (from, to) in [
        ("\"needs\":1", "\"needs\":1,\"needs\":2"),
        ("\"needs\":1,", ""),
        ("\"needs\":1", "\"needs\":-1"),
        ("\"needs\":1", "\"needs\":1.5"),
        ("\"needs\":1", "\"needs\":4294967296"),
        ("\"needs\"", "\"Needs\""),
        ("\"longest_life\":86400,", ""),
        ("\"gates\"", "\"more\":{},\"gates\""),
        ("\"schema\"", "\"gates\":{},\"schema\""),
        (
            "{\"SG_1\":",
            "{\"SG_1\":{\"approvers\":[\"eve\"],\"longest_life\":1,\"needs\":1},\"SG_1\":",
        ),
        ("}}", "}"),
    ] {
        let error = altered(from, to);
        assert!(matches!(error, PolicyError::Malformed(_)), "{to}: {error}");
    }
}
