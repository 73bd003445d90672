//! The file that people sign: one form, and a refusal for each other.

use std::time::Duration;

use phasegate::{
    Digest, Sg1,
    approval::{ApprovalStatement, Decision},
    ssh::ParseApprovalError,
};

use crate::{HOUR, in_seconds, plan, statement};

/// The file with `from` replaced by `to`, as it is read.
fn altered(from: &str, to: &str) -> ParseApprovalError {
    let text = String::from_utf8(statement(&plan()).bytes().unwrap()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    ApprovalStatement::from_bytes(text.replacen(from, to, 1).as_bytes()).unwrap_err()
}

#[test]
fn it_is_canonical_json_that_jq_and_people_can_read() {
    let plan = plan();
    let mut statement = statement(&plan);
    statement.nonce = "n-1".to_owned();
    statement.comment = "read \"it\" – all of it".to_owned();
    statement.valid_from = std::time::UNIX_EPOCH + Duration::from_secs(1_795_417_759);
    statement.expires = statement.valid_from + HOUR;
    let text = String::from_utf8(statement.bytes().unwrap()).unwrap();
    assert_eq!(
        text,
        format!(
            concat!(
                r#"{{"comment":"read \"it\" – all of it","decision":"approve","#,
                r#""expires":"2026-11-23T08:09:19Z","gate":"SG_1","nonce":"n-1","plan":"{}","#,
                r#""schema":"phasegate/statement/1","#,
                r#""target":{{"database":"nowhere","role":"nobody","system_identifier":"0"}},"#,
                r#""valid_from":"2026-11-23T07:09:19Z"}}"#
            ),
            plan.digest()
        )
    );
    assert_eq!(
        ApprovalStatement::from_bytes(text.as_bytes()).unwrap(),
        statement
    );
}

#[test]
fn it_comes_back_from_its_own_bytes_also_as_a_rejection() {
    let rejection = ApprovalStatement::for_gate::<Sg1>(&plan())
        .rejecting()
        .not_before(in_seconds(-5))
        .until(in_seconds(10))
        .build()
        .unwrap();
    assert_eq!(rejection.decision, Decision::Reject);
    for statement in [rejection, statement(&plan())] {
        let back = ApprovalStatement::from_bytes(&statement.bytes().unwrap()).unwrap();
        assert_eq!(back, statement);
    }
}

#[test]
fn each_is_another_one() {
    assert_ne!(statement(&plan()).nonce, statement(&plan()).nonce);
}

#[test]
fn each_flaw_has_its_own_refusal() {
    let error = altered("statement/1", "statement/2");
    assert!(
        matches!(&error, ParseApprovalError::UnknownSchema { found } if found == "phasegate/statement/2"),
        "{error}"
    );
    let error = altered("\"gate\"", "\"also\":1,\"gate\"");
    assert!(
        matches!(&error, ParseApprovalError::UnknownMember { member } if member == "also"),
        "{error}"
    );
    for twice in ["gate", "plan", "decision", "schema", "target"] {
        let text = String::from_utf8(statement(&plan()).bytes().unwrap()).unwrap();
        let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let again = format!("{{\"{twice}\":{},", value[twice]);
        let error =
            ApprovalStatement::from_bytes(text.replacen('{', &again, 1).as_bytes()).unwrap_err();
        assert!(
            matches!(&error, ParseApprovalError::Twice { member } if member == twice),
            "{error}"
        );
    }
    for (from, to) in [
        ("{\"comment\"", "{ \"comment\""),
        (
            "\"comment\":\"read it\",\"decision\":\"approve\"",
            "\"decision\":\"approve\",\"comment\":\"read it\"",
        ),
        ("read it", "read \\u0069t"),
        ("}}", "}}"),
    ]
    .into_iter()
    .take(3)
    {
        let error = altered(from, to);
        assert!(
            matches!(error, ParseApprovalError::NotCanonical),
            "{to}: {error}"
        );
    }
    for (from, to) in [
        ("Z\"}", "Z\""),
        ("\"approve\"", "\"Approve\""),
        ("\"approve\"", "\"maybe\""),
        ("\"approve\"", "null"),
        ("\"gate\":\"SG_1\",", ""),
        ("\"SG_1\"", "1"),
        ("\"role\"", "\"rank\""),
        ("\"role\"", "\"role\":\"x\",\"role\""),
    ] {
        let error = altered(from, to);
        assert!(
            matches!(error, ParseApprovalError::Malformed(_)),
            "{to}: {error}"
        );
    }
    let error = ApprovalStatement::from_bytes(b"").unwrap_err();
    assert!(matches!(error, ParseApprovalError::Empty), "{error}");
    let error = ApprovalStatement::from_bytes(&vec![b' '; 64 * 1024 + 1]).unwrap_err();
    assert!(
        matches!(error, ParseApprovalError::TooLarge { .. }),
        "{error}"
    );
    let mut text = statement(&plan()).bytes().unwrap();
    text.push(b'\n');
    let error = ApprovalStatement::from_bytes(&text).unwrap_err();
    assert!(matches!(error, ParseApprovalError::NotCanonical), "{error}");
}

#[test]
fn a_moment_is_written_in_one_way() {
    let text = String::from_utf8(statement(&plan()).bytes().unwrap()).unwrap();
    let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    for member in ["expires", "valid_from"] {
        let written = value[member].as_str().unwrap();
        for other in [
            written.replace('Z', "+00:00"),
            written.replace('Z', ".000Z"),
            written.replace('T', " "),
            "soon".to_owned(),
            "99999-01-01T00:00:00Z".to_owned(),
            String::new(),
        ] {
            let error = altered(written, &other);
            let _ = member;
            assert!(
                matches!(
                    error,
                    ParseApprovalError::Moment { .. } | ParseApprovalError::NoLife
                ),
                "{other}: {error}"
            );
        }
    }
}

#[test]
fn nothing_in_it_moves_the_cursor_of_who_reads_it_or_hides() {
    for comment in [
        "\u{1b}[2Jfine",
        "fine\nfine",
        "\u{202e}enif",
        "fi\u{200b}ne",
        "\u{9b}1m",
    ] {
        let built = ApprovalStatement::for_gate::<Sg1>(&plan())
            .lasting(HOUR)
            .comment(comment)
            .build();
        let error = built.unwrap_err();
        assert!(
            matches!(
                error,
                ParseApprovalError::NotPlain {
                    member: "comment",
                    ..
                }
            ),
            "{error}"
        );
        let said = error.to_string();
        assert!(
            !said.contains(comment),
            "the refusal does not say it either: {said:?}"
        );
    }
    for to in ["read \\u001b[2J it", "read \u{202e} it"] {
        let error = altered("read it", to);
        assert!(
            matches!(error, ParseApprovalError::NotPlain { .. }),
            "{to}: {error}"
        );
    }
    for gate in ["SG_1\\n", "", "SG\u{2066}_1"] {
        let error = altered("SG_1", gate);
        assert!(
            matches!(error, ParseApprovalError::NotPlain { member: "gate", .. }),
            "{error}"
        );
    }
    let long = "a".repeat(2001);
    let built = ApprovalStatement::for_gate::<Sg1>(&plan())
        .lasting(HOUR)
        .comment(long)
        .build();
    assert!(matches!(
        built.unwrap_err(),
        ParseApprovalError::NotPlain { .. }
    ));
}

#[test]
fn one_without_a_lifetime_or_with_too_long_a_one_is_not_made() {
    let plan = plan();
    let statement = || ApprovalStatement::for_gate::<Sg1>(&plan);
    for built in [
        statement().build(),
        statement().lasting(Duration::ZERO).build(),
        statement().lasting(Duration::from_millis(999)).build(),
        statement().lasting(Duration::MAX).build(),
        statement().until(in_seconds(-1)).build(),
    ] {
        let error = built.unwrap_err();
        assert!(matches!(error, ParseApprovalError::NoLife), "{error}");
    }
    let centuries = Duration::from_secs(400_000_000_000);
    let error = statement().lasting(centuries).build().unwrap_err();
    assert!(
        matches!(error, ParseApprovalError::Moment { member: "expires" }),
        "{error}"
    );
    let mut unfit = statement().lasting(HOUR).build().unwrap();
    unfit.plan = Digest::of(b"any");
    unfit.nonce = String::new();
    assert!(unfit.bytes().is_err());
}
