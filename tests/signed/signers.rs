//! The file of allowed signers: a line that is refused is named, with its number.

use phasegate::ssh::{AllowedSigners, AllowedSignersError, SignerFlaw};
use phasegate::testing::SshSigner;

/// What is wrong with the third line of a file that has this before the key.
fn flaw(before_the_key: &str) -> SignerFlaw {
    let key = SshSigner::new("any").public_key();
    let text = format!("# people\n\n{before_the_key} {key}\nada {key}\n");
    match AllowedSigners::parse(&text) {
        Err(AllowedSignersError::Line { line: 3, flaw }) => flaw,
        other => panic!("{other:?}"),
    }
}

#[test]
fn comments_blank_lines_and_comments_after_keys_are_passed_over() {
    let (ada, grace) = (SshSigner::new("ada"), SshSigner::new("grace"));
    let text = format!(
        "# who may\r\n\n   \t\n  ada,ada@example.org   {} ada's laptop\r\n\tgrace\tnamespaces=\"a b,phasegate\"  {}",
        ada.public_key(),
        grace.public_key()
    );
    let signers = AllowedSigners::parse(&text).unwrap();
    assert_eq!(signers.text(), text);
}

#[test]
fn a_file_without_a_name_is_refused() {
    for text in ["", "\n", "# nobody\n"] {
        let error = AllowedSigners::parse(text).unwrap_err();
        assert!(matches!(error, AllowedSignersError::Empty), "{error}");
    }
}

#[test]
fn patterns_are_refused_since_they_name_no_person() {
    for names in ["*", "*@example.org", "ada,gr?ce", "!ada", "ada,!grace"] {
        assert!(matches!(flaw(names), SignerFlaw::Pattern(_)), "{names}");
    }
}

#[test]
fn names_that_cannot_be_read_are_refused() {
    assert_eq!(flaw("\"ada lovelace\""), SignerFlaw::QuotedName);
    for names in ["ada,,grace", ",ada", "ada,", "a\u{202e}da", "a\u{7}da"] {
        assert!(matches!(flaw(names), SignerFlaw::Name(_)), "{names:?}");
    }
}

#[test]
fn authorities_and_certificates_are_refused_by_their_names() {
    assert_eq!(flaw("ada cert-authority"), SignerFlaw::CertAuthority);
    assert_eq!(
        flaw("ada Cert-Authority,namespaces=\"phasegate\""),
        SignerFlaw::CertAuthority
    );
    let text = "ada ssh-ed25519-cert-v01@openssh.com AAAA\n";
    let error = AllowedSigners::parse(text).unwrap_err().to_string();
    assert!(
        error.contains("line 1: its key is refused: it is a certificate"),
        "{error}"
    );
}

#[test]
fn local_time_is_refused_and_says_what_is_missing() {
    for option in ["valid-after", "valid-before"] {
        for moment in ["20261123", "202611230709", "20261123070919"] {
            let flaw = flaw(&format!("ada {option}=\"{moment}\""));
            assert!(
                matches!(&flaw, SignerFlaw::LocalTime { option: of } if of == option),
                "{flaw}"
            );
            assert!(flaw.hint().unwrap().contains("with a `Z`"), "{flaw}");
        }
    }
    let flaw = flaw("ada valid-after=\"20261323Z\"");
    assert!(matches!(flaw, SignerFlaw::Moment { .. }), "{flaw}");
}

#[test]
fn unknown_repeated_unquoted_or_bad_options_are_refused() {
    let is = |line: &str, is: fn(&SignerFlaw) -> bool| {
        let flaw = flaw(line);
        assert!(is(&flaw), "{line}: {flaw}");
    };
    is("ada other=\"1\"", |flaw| {
        matches!(flaw, SignerFlaw::UnknownOption(_))
    });
    is("ada no-touch-required", |flaw| {
        matches!(flaw, SignerFlaw::UnknownOption(_))
    });
    is("ada namespaces=\"a\",namespaces=\"b\"", |flaw| {
        matches!(flaw, SignerFlaw::TwiceOption(_))
    });
    is("ada namespaces=phasegate", |flaw| {
        matches!(flaw, SignerFlaw::Unquoted(_))
    });
    is("ada namespaces", |flaw| {
        matches!(flaw, SignerFlaw::Unquoted(_))
    });
    is("ada namespaces=\"\"", |flaw| {
        matches!(flaw, SignerFlaw::Unquoted(_))
    });
    is("ada namespaces=\"a\\\"b\"", |flaw| {
        matches!(flaw, SignerFlaw::Unquoted(_))
    });
    is(
        "ada valid-after=\"20270101Z\",valid-before=\"20260101Z\"",
        |flaw| matches!(flaw, SignerFlaw::NeverValid),
    );
}

#[test]
fn a_line_without_a_key_is_refused() {
    for text in [
        "ada",
        "ada ",
        "ada ssh-ed25519",
        "ada namespaces=\"phasegate\"",
        "ada AAAAC3Nz",
        "ada ssh-ed25519 AAAA",
    ] {
        let error = AllowedSigners::parse(text).unwrap_err();
        assert!(
            matches!(error, AllowedSignersError::Line { line: 1, .. }),
            "{text}: {error}"
        );
    }
    let ada = SshSigner::new("ada").public_key();
    let other = ada.replacen("ssh-ed25519", "ssh-rsa", 1);
    assert!(
        AllowedSigners::parse(&format!("ada {other}")).is_err(),
        "a key of another algorithm"
    );
}
