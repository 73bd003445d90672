//! Tests of the message, the hint and the causes of every error beside those of `outcome`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::approval::*;
use crate::audit::*;
use crate::connect::*;
use crate::error::*;
use crate::operator::*;
use crate::plan::*;
use crate::schema::*;
use crate::ssh::*;
use crate::switch::*;
use crate::testing::ServerError;
use crate::*;

/// The message and the causes of one error.
struct Said {
    code: &'static str,
    hint: Option<String>,
    /// The message, and those of the causes.
    chain: Vec<String>,
}

macro_rules! said {
    ($($error:expr),+ $(,)?) => {
        vec![$({
            let error = $error;
            Said { code: error.code(), hint: error.hint(), chain: chain(&error) }
        }),+]
    };
}

fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

fn json_error() -> serde_json::Error {
    serde_json::from_str::<u8>("x").unwrap_err()
}

fn driver_error() -> ::postgres::Error {
    "port=none".parse::<::postgres::Config>().unwrap_err()
}

fn text() -> String {
    "x".to_owned()
}

fn texts() -> Vec<String> {
    vec![text(), text()]
}

fn target() -> Target {
    Target::new("1", "register", "closer")
}

fn digest() -> Digest {
    Digest::of(b"x")
}

fn not_read() -> ReadFileError {
    ReadFileError::NotRead {
        path: PathBuf::from("plan.json"),
        error: io::Error::other("the disk is gone"),
    }
}

fn of_files_and_plans() -> Vec<Said> {
    let path = || PathBuf::from("plan.json");
    said![
        "x".parse::<Digest>().unwrap_err(),
        not_read(),
        ReadFileError::NotWritten {
            path: path(),
            error: io::ErrorKind::AlreadyExists.into(),
        },
        ReadFileError::NotAFile { path: path() },
        ReadFileError::TooLarge {
            path: path(),
            limit: 1,
        },
        NotCanonical::Serialize(json_error()),
        NotCanonical::Number {
            path: text(),
            number: text(),
        },
        NotCanonical::NotFinite {
            path: text(),
            number: text(),
        },
        NotCanonical::MemberTwice { path: text() },
        NotCanonical::Deserialize(json_error()),
        NotCanonical::Unstable,
        PlanError::File(not_read()),
        PlanError::TooLarge,
        PlanError::NotApproved {
            approved: digest(),
            found: digest(),
        },
        PlanError::Truncated { length: 7 },
        PlanError::Malformed(json_error()),
        PlanError::UnknownSchema { found: text() },
        PlanError::NotCanonical,
        PlanError::Flawed(text()),
        InputsError::File(not_read()),
        InputsError::NotPlanned {
            phase: text(),
            path: path(),
            planned: digest(),
            found: digest(),
        },
        InputsError::AnotherPlan {
            plan: digest(),
            inputs: digest(),
        },
        BundleNotWritten::NotEmpty(path()),
        BundleNotWritten::Io {
            path: path(),
            error: io::Error::other("the disk is full"),
        },
        AddInputsError::Plan(PlanError::TooLarge),
        AddInputsError::Inputs(InputsError::AnotherPlan {
            plan: digest(),
            inputs: digest(),
        }),
        EvidenceError::NoSuchPlan(digest()),
        EvidenceError::NotAPlan(json_error()),
        EvidenceError::NotEvidence {
            nonce: text(),
            error: json_error(),
        },
        EvidenceError::Database("gone".into()),
        EvidenceFlaw::AnotherPlan {
            plan: digest(),
            found: digest(),
        },
        EvidenceFlaw::Chain(BrokenChain::new(2, "is missing")),
        EvidenceFlaw::Row {
            place: 1,
            why: "has another phase than the plan".to_owned(),
        },
        EvidenceFlaw::Admitted {
            nonce: text(),
            why: "was never admitted".to_owned(),
        },
    ]
}

fn of_the_database() -> Vec<Said> {
    said![
        SwitchUnreadable::new("no such file"),
        ConnectError::new("down").with_hint("Start the server."),
        ConnectError::from(driver_error()),
        OperatorError::new("admit the plan", driver_error()),
        ResolveError::new("draft", "gone".into()),
        Denied::new("no approval is there"),
        Denied::rejected("ada", "wrong ids"),
        InstallError::OldServer { found: text() },
        InstallError::NotUtf8 { found: text() },
        InstallError::Newer { found: text() },
        InstallError::Divergent { found: text() },
        InstallError::Incomplete { missing: texts() },
        InstallError::Foreign { found: texts() },
        InstallError::Unfit(driver_error()),
        InstallError::Privilege(driver_error()),
        InstallError::Migration(driver_error()),
        InstallError::Database(driver_error()),
        ReadOnlyError::NotConnected(ConnectError::new("down")),
        ReadOnlyError::NotBegun("gone".into()),
        ReadOnlyError::InTransaction,
        ReadOnlyError::CouldWrite {
            role: text(),
            what: texts(),
        },
        AdmittedPlanError::NotAdmitted(digest()),
        AdmittedPlanError::Plan(PlanError::TooLarge),
        AdmittedPlanError::Database(driver_error()),
        JournalError::NoSuchPlan(digest()),
        JournalError::Database("gone".into()),
        BrokenChain::new(2, "is missing"),
        SqlError::TransactionControl {
            word: "COMMIT".to_owned(),
        },
        SqlError::TransactionControl {
            word: "PREPARE".to_owned(),
        },
        SqlError::NotPlanned { statement: text() },
        SqlError::Copy,
        SqlError::NotCopy { word: text() },
        SqlError::ReadOnly { word: text() },
        SqlError::Ended,
        SqlError::ParameterCount {
            expected: 2,
            given: 1,
        },
        SqlError::CopyOtherWay,
        SqlError::CopyBrokenOff,
        SqlError::NotAFunction { name: text() },
        SqlError::NotOneAnswer { answers: 2 },
        SqlError::NullAnswer,
        SqlError::AnswersNothing,
        SqlError::Answer("it is no number".into()),
        SqlError::Parameter("it is no number".into()),
        SqlError::Database(driver_error()),
    ]
}

fn of_the_test_server() -> Vec<Said> {
    let path = || PathBuf::from("/bin");
    said![
        ServerError::DatabaseUrl {
            reason: text(),
            remedy: None,
        },
        ServerError::BinDir {
            path: path(),
            reason: text(),
        },
        ServerError::GivenDir {
            path: path(),
            reason: text(),
        },
        ServerError::NoServer {
            url: "is not set",
            installed: text(),
            embedded: text(),
        },
        ServerError::Directory {
            path: path(),
            reason: text(),
            account: "the account `postgres`".to_owned(),
        },
        ServerError::Program {
            doing: "start it",
            program: text(),
            reason: text(),
        },
        ServerError::Start {
            stage: "initdb",
            server: text(),
            reason: text(),
            log: "Two. Lines.\nof it.".to_owned(),
        },
        ServerError::Sql {
            doing: text(),
            error: driver_error(),
        },
        ServerError::NoAnswer {
            doing: text(),
            limit: Duration::from_secs(1),
        },
        ServerError::Unfit {
            reason: text(),
            remedy: Some("Connect as a superuser.".to_owned()),
        },
        ServerError::NotPrivate { doing: "stop it" },
        ServerError::Stop {
            path: path(),
            reason: text(),
        },
    ]
}

fn of_keys_and_policies() -> Vec<Said> {
    let empty = match Policy::builder()
        .gate_named("", GateRule::of(["ada"]))
        .build()
    {
        Err(PolicyError::Name { flaw, .. }) => flaw,
        other => panic!("{other:?}"),
    };
    said![
        UnfitKey::Malformed,
        UnfitKey::ShortRsa { bits: 1024 },
        UnfitKey::LongRsa { bits: 8192 },
        UnfitKey::Certificate { algorithm: text() },
        UnfitKey::Algorithm { algorithm: text() },
        AllowedSignersError::File(not_read()),
        AllowedSignersError::TooLarge { size: 1 },
        AllowedSignersError::NotText,
        AllowedSignersError::Empty,
        AllowedSignersError::Line {
            line: 1,
            flaw: SignerFlaw::NoKey,
        },
        SignerFlaw::NoKey,
        SignerFlaw::Key(UnfitKey::Malformed),
        SignerFlaw::Pattern(text()),
        SignerFlaw::Name(empty),
        SignerFlaw::QuotedName,
        SignerFlaw::CertAuthority,
        SignerFlaw::UnknownOption(text()),
        SignerFlaw::TwiceOption(text()),
        SignerFlaw::Unquoted(text()),
        SignerFlaw::LocalTime { option: text() },
        SignerFlaw::Moment { option: text() },
        SignerFlaw::NeverValid,
        RevokedKeysError::File(not_read()),
        RevokedKeysError::TooLarge { size: 1 },
        RevokedKeysError::Binary,
        RevokedKeysError::NotText,
        RevokedKeysError::Fingerprint { line: 1 },
        RevokedKeysError::Line {
            line: 1,
            flaw: UnfitKey::Malformed,
        },
        PolicyError::File(not_read()),
        PolicyError::TooLarge { size: 1 },
        PolicyError::Malformed(json_error()),
        PolicyError::UnknownSchema { found: text() },
        PolicyError::NoGate,
        PolicyError::NoApprovers { gate: text() },
        PolicyError::Twice {
            gate: text(),
            approver: text(),
        },
        PolicyError::NeedsNobody { gate: text() },
        PolicyError::NeedsTooMany {
            gate: text(),
            needs: 2,
            approvers: 1,
        },
        PolicyError::NoLife { gate: text() },
        PolicyError::NoOtherGate {
            gate: text(),
            other: text(),
        },
        PolicyError::Name {
            gate: text(),
            flaw: empty,
        },
        ParseApprovalError::Empty,
        ParseApprovalError::TooLarge { size: 1 },
        ParseApprovalError::Malformed(json_error()),
        ParseApprovalError::UnknownSchema { found: text() },
        ParseApprovalError::UnknownMember { member: text() },
        ParseApprovalError::Twice { member: text() },
        ParseApprovalError::NotCanonical,
        ParseApprovalError::NotPlain {
            member: "gate",
            flaw: empty,
        },
        ParseApprovalError::Moment { member: "expires" },
        ParseApprovalError::NoLife,
        ParseApprovalError::NoSuchGate { gate: text() },
        ParseApprovalError::File(not_read()),
    ]
}

fn of_signatures() -> Vec<Said> {
    let (who, gate) = (|| "ada@example.org".to_owned(), || "SG_1".to_owned());
    let time = Duration::from_hours(3);
    said![
        VerifyApprovalError::Statement(ParseApprovalError::Empty),
        VerifyApprovalError::File(not_read()),
        VerifyApprovalError::NoSignature,
        VerifyApprovalError::SignatureTooLarge { size: 1 },
        VerifyApprovalError::NotASignature,
        VerifyApprovalError::Key(UnfitKey::Malformed),
        VerifyApprovalError::AnotherNamespace { found: text() },
        VerifyApprovalError::UnknownKey {
            fingerprint: text(),
        },
        VerifyApprovalError::Revoked {
            who: who(),
            fingerprint: text(),
        },
        VerifyApprovalError::NamespaceNotAllowed {
            who: who(),
            allowed: text(),
        },
        VerifyApprovalError::KeyNotYetValid {
            who: who(),
            from: SystemTime::now(),
        },
        VerifyApprovalError::KeyExpired {
            who: who(),
            at: SystemTime::now(),
        },
        VerifyApprovalError::DoesNotFit { who: who() },
        VerifyApprovalError::NotTouched { who: who() },
        VerifyApprovalError::AnotherPlan {
            who: who(),
            stated: digest(),
            plan: digest(),
        },
        VerifyApprovalError::AnotherTarget {
            who: who(),
            stated: Box::new(target()),
            planned: Box::new(target()),
        },
        VerifyApprovalError::AnotherGate {
            who: who(),
            gate: gate(),
        },
        VerifyApprovalError::NotYetValid {
            who: who(),
            in_time: time,
        },
        VerifyApprovalError::Expired {
            who: who(),
            since: time,
        },
        VerifyApprovalError::LivesTooLong {
            who: who(),
            gate: gate(),
            life: time,
            longest: time,
        },
        VerifyApprovalError::NoPolicy { gate: gate() },
        VerifyApprovalError::NotEntitled {
            who: who(),
            gate: gate(),
            approvers: texts(),
        },
        VerifyApprovalError::Author {
            who: who(),
            gate: gate(),
        },
        VerifyApprovalError::NoAuthor {
            who: who(),
            gate: gate(),
        },
        VerifyApprovalError::UnknownAuthor {
            who: who(),
            gate: gate(),
            author: who(),
        },
        VerifyApprovalError::TooMany(1000),
    ]
}

fn all() -> Vec<Said> {
    let parts = [
        of_files_and_plans(),
        of_the_database(),
        of_the_test_server(),
        of_keys_and_policies(),
        of_signatures(),
    ];
    parts.into_iter().flatten().collect()
}

/// Checks that every code in a table of codes is that of a value above.
#[test]
fn no_variant_is_left_out() {
    let listed: BTreeSet<_> = all().iter().map(|said| said.code).collect();
    for source in [
        include_str!("base/canonical/mod.rs"),
        include_str!("base/files.rs"),
        include_str!("plan/read.rs"),
        include_str!("plan/input.rs"),
        include_str!("database/admitted_plan.rs"),
        include_str!("authority/ssh/allowed_signers.rs"),
        include_str!("authority/ssh/key.rs"),
        include_str!("authority/ssh/policy.rs"),
        include_str!("authority/ssh/refused.rs"),
        include_str!("authority/ssh/revoked_keys.rs"),
        include_str!("authority/ssh/statement_file.rs"),
        include_str!("evidence/bundle.rs"),
        include_str!("evidence/check.rs"),
        include_str!("evidence/files.rs"),
        include_str!("database/journal.rs"),
        include_str!("database/read_only.rs"),
        include_str!("database/schema/error.rs"),
        include_str!("database/statement.rs"),
        include_str!("testing/postgres/error.rs"),
    ] {
        let table = source.split("pub fn code(&self)").nth(1).unwrap();
        let table = table.split("pub fn hint(&self)").next().unwrap();
        for line in table.lines() {
            let code = line.split("=> \"").nth(1).and_then(|l| l.split('"').next());
            assert!(code.is_none_or(|code| listed.contains(code)), "{code:?}");
        }
    }
}

#[test]
fn a_cause_is_printed_or_linked_and_never_both() {
    for Said { chain, .. } in all() {
        for pair in chain.windows(2) {
            assert!(!pair[0].contains(&pair[1]), "{chain:?}");
        }
    }
}

#[test]
fn a_message_is_one_clause_in_lower_case() {
    for Said { chain, .. } in all() {
        let first = chain[0].lines().next().unwrap();
        assert!(!first.contains(". ") && !first.ends_with('.'), "{first}");
        let word = first.split([' ', '_']).next().unwrap();
        let begins = word.starts_with(|c: char| c.is_uppercase());
        let acronym = word.chars().all(char::is_uppercase);
        assert!(!begins || acronym, "{first}");
        assert!(first.chars().count() <= 220, "{first}");
    }
}

#[test]
fn a_hint_is_made_of_sentences() {
    for Said { chain, hint, .. } in all() {
        let Some(hint) = hint else { continue };
        assert!(hint.ends_with('.') && !hint.contains('\n'), "{hint}");
        assert!(hint.starts_with(|c: char| c.is_uppercase()), "{hint}");
        assert!(!chain[0].contains(hint.trim_end_matches('.')), "{hint}");
    }
    let copied = SqlError::Copy.hint().unwrap();
    assert!(copied.contains("`PhaseTx::copy_in`"), "{copied}");
    assert_eq!(
        Denied::new("x").with_hint("Sign\u{1b} it.").hint().unwrap(),
        "Sign\\u{1b} it."
    );
}
