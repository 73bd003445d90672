//! The example as a person runs it: what it shows, what it refuses, and what it leaves behind, which
//! is nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::Digest;
use phasegate::testing::TestPostgres;
use postgres::NoTls;
use tempfile::TempDir;

/// The example, with a temporary directory of its own, so that what it leaves can be seen.
fn iu_cutter(place: &TempDir) -> Command {
    // Beside the directory of this test: target/debug/{deps,examples}.
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push("iu_cutter");
    assert!(path.exists(), "{} is built by `cargo test`", path.display());
    let mut command = Command::new(path);
    command.env("TMPDIR", place.path()).stdin(Stdio::null());
    command
}

/// A directory in which the server's account may make its own, where this is run by root.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o1777)).unwrap();
    place
}

fn assert_nothing_is_left(place: &TempDir) {
    let left = || -> Vec<PathBuf> {
        fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    // The server of a program that was killed ends a moment after it.
    let begun = Instant::now();
    while !left().is_empty() && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(left(), Vec::<PathBuf>::new());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

/// A document of so many units that a live run of it takes a while.
fn long_document(place: &TempDir) -> PathBuf {
    let path = place.path().join("long.md");
    let unit = |n: u32| format!("# Article {n}\n\nIt says {n}.\n\n");
    fs::write(&path, (1..=4_000).map(unit).collect::<String>()).unwrap();
    path
}

#[test]
fn it_shows_that_everything_holds() {
    let place = place();
    let output = iu_cutter(&place).output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    for part in [
        "58 units",
        "the kill switch in this process is OFF",
        "hint: ON means that execution is allowed",
        "what the server counted is what the simulator predicted",
        "scribe@town.example has made the plan or edited it last, and may not approve gate",
        "the signature does not fit",
        "and is not among the approvers of gate `SG_1`",
        "council@town.example has rejected the plan: article 7 is missing",
        "has 0 of the 1 approvals that it needs; clerk@town.example has signed another gate",
        "hint: Have one signed by council@town.example.",
        "its input is not what was approved",
        "enact_verify     committed",
        "in force: 58 units; the log is complete",
        "failed at row 6 (1.2.3, crates/iu-cutter/amendment.md:23)",
        "Chamber of",
        "rolled back, and row 6 is named",
        "the database refuses it",
        "did not do what was planned; nothing of it remains",
        "iu.unit updated 5 0 <-",
        "was not committed",
        "why: shown to a visitor)",
        "hint: Once an operator has turned it on again",
        "switched off, and no commit is in flight",
        "phase `cut_leg_a` is IN DOUBT",
        "resolved: it was committed",
        "cut_leg_a committed before, not performed again",
        "performed nothing twice",
        "its chain holds",
        "gate \"SG_2\": approve by council@town.example",
        "the evidence is consistent",
        "everything held",
    ] {
        let unwrapped = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unwrapped.contains(&part), "{part:?} is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours without a terminal");
    assert_nothing_is_left(&place);
}

#[test]
fn empty_headings_are_refused_with_their_line_or_left_out() {
    const DOCUMENT: &str = "# One\n\nText.\n\n## Empty\n\n# Two\n\nText.\n";
    let place = place();
    let mut refused = iu_cutter(&place);
    refused.arg("-");
    let refused = with_input(refused, DOCUMENT);
    assert_eq!(refused.status.code(), Some(2));
    let message = text(&refused.stderr);
    assert!(
        message.contains("<stdin>:5: the heading \"Empty\" has neither text"),
        "{message}"
    );
    assert!(refused.stdout.is_empty(), "before anything is started");

    let saved = place.path().join("plan.json");
    let mut cut = iu_cutter(&place);
    cut.args(["-", "--skip-empty", "--save-plan"]).arg(&saved);
    let cut = with_input(cut, DOCUMENT);
    let shown = text(&cut.stdout);
    assert!(cut.status.success(), "{shown}{}", text(&cut.stderr));
    assert!(shown.contains("2 units, left out as empty: 1"), "{shown}");
    let digest = Digest::of(&fs::read(&saved).unwrap()).to_string();
    assert!(
        shown.contains(&digest),
        "the digest of the file as saved, {digest}"
    );
    fs::remove_file(saved).unwrap();
    assert_nothing_is_left(&place);
}

#[test]
fn text_above_the_first_heading_is_a_unit_unless_left_out() {
    let place = place();
    for (document, arguments, says) in [
        (
            "<!-- x -->\n\nHello.\n\n# One\n\nText.\n",
            &["-"][..],
            "2 units",
        ),
        (
            "<!-- x -->\n\n# One\n\nText.\n",
            &["-", "--skip-empty"],
            "1 unit, lines without text above the first heading left out: 1",
        ),
    ] {
        let mut cut = iu_cutter(&place);
        cut.args(arguments);
        let cut = with_input(cut, document);
        let shown = text(&cut.stdout);
        assert!(cut.status.success(), "{shown}{}", text(&cut.stderr));
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(says), "{says:?} is not in {shown}");
    }
    assert_nothing_is_left(&place);
}

#[test]
fn a_document_that_is_not_there_is_named() {
    let place = place();
    let output = iu_cutter(&place).arg("/no/such.md").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such.md: there is no such file"));
}

#[test]
fn a_document_that_the_server_refuses_makes_it_fail() {
    let place = place();
    let mut command = iu_cutter(&place);
    command.arg("-");
    let output = with_input(command, "# One\n\nLorem ipsum dolor sit amet.\n");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("failed at row 1 (1, <stdin>:1)"), "{shown}");
    assert!(shown.contains("something did not hold"), "{shown}");
    assert_nothing_is_left(&place);
}

#[test]
fn the_server_of_database_url_is_used_and_left_as_it_was() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let mut admin = server.admin().connect(NoTls).unwrap();
    let mut names = || -> Vec<String> {
        // The four roles of the schema belong to the cluster, and stay for the next database.
        let sql = "SELECT datname::text FROM pg_database UNION ALL SELECT rolname::text FROM pg_roles \
                   WHERE rolname !~ '^phasegate_(owner|operator|runner|auditor)$' ORDER BY 1";
        admin
            .query(sql, &[])
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect()
    };
    let before = names();
    let socket = match &server.admin().get_hosts()[0] {
        postgres::config::Host::Unix(path) => path.display().to_string(),
        postgres::config::Host::Tcp(host) => host.clone(),
    };
    let place = place();
    let output = iu_cutter(&place)
        .env(
            "DATABASE_URL",
            format!("host={socket} user=postgres dbname=postgres"),
        )
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("from DATABASE_URL"), "{shown}");
    assert_eq!(names(), before);
    assert_nothing_is_left(&place);
}

/// Starts a long run, and sends it a signal in the middle of its first phase.
fn interrupted_by(signal: &str) -> (Option<i32>, String, TempDir) {
    let place = place();
    let documents = self::place();
    let mut child = iu_cutter(&place)
        .arg(long_document(&documents))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    while !shown.contains("5. The live run") {
        assert_ne!(
            output.read_line(&mut shown).unwrap(),
            0,
            "it ended before:\n{shown}"
        );
    }
    let kill = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    for line in output.lines() {
        shown += &(line.unwrap() + "\n");
    }
    let ended = child.wait_with_output().unwrap();
    (ended.status.code(), shown + &text(&ended.stderr), place)
}

#[test]
fn interrupted_it_rolls_back_and_leaves_nothing() {
    for signal in ["-INT", "-TERM"] {
        let (status, shown, place) = interrupted_by(signal);
        assert_eq!(status, Some(1), "{shown}");
        assert!(
            shown.contains("interrupted: the kill switch is OFF; what was running was rolled back"),
            "{shown}"
        );
        assert!(!shown.contains("committed"), "{shown}");
        assert_nothing_is_left(&place);
    }
}

#[test]
fn killed_it_leaves_nothing_either() {
    let (status, _, place) = interrupted_by("-KILL");
    assert_eq!(status, None);
    assert_nothing_is_left(&place);
}
