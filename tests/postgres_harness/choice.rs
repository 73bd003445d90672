//! Which server is chosen, and that a bad choice is an error and not another choice.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use crate::child::Program;
use crate::death::Place;

fn refusal(variables: &[(&str, &str)]) -> String {
    Program::start("use", variables).told("error")
}

#[test]
fn a_bad_database_url_is_an_error() {
    for (url, reason) in [
        (
            "postgres://nobody@127.0.0.1:1/none",
            "127.0.0.1:1 (user nobody, database none): cannot ask the server",
        ),
        (
            "postgres://me:hush@127.0.0.1:1/none?sslmode=require",
            "it asks for TLS",
        ),
        ("nonsense", "invalid connection string"),
        (
            "host=/no/such/place user=me",
            "/no/such/place/.s.PGSQL.5432 (user me, database me)",
        ),
    ] {
        let error = refusal(&[("DATABASE_URL", url)]);
        assert!(
            error.contains("DATABASE_URL is set but cannot be used"),
            "{url}: {error}"
        );
        assert!(error.contains(reason), "{url}: {error}");
        assert!(!error.contains("hush"), "{url}: {error}");
    }
}

#[test]
fn a_bad_bin_dir_is_an_error_that_names_it() {
    let error = refusal(&[("PG_BIN_DIR", "/no/such/place")]);
    assert!(
        error.contains("PG_BIN_DIR is set to /no/such/place but cannot be used"),
        "{error}"
    );

    let place = Place::new();
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains(place.path()) && error.contains("no `postgres` in"),
        "{error}"
    );

    script(&place, "postgres", "echo 'postgres (PostgreSQL) 12.22'");
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(error.contains("no `initdb` beside"), "{error}");

    script(&place, "initdb", "echo 'it is full in here' >&2; exit 3");
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains("is PostgreSQL 12.22; 13 or newer is needed"),
        "{error}"
    );

    script(
        &place,
        "postgres",
        "echo 'it lacks a library' >&2; exit 127",
    );
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains("does not tell a version: it lacks a library"),
        "{error}"
    );
}

#[test]
fn a_server_that_does_not_start_is_an_error_with_its_log() {
    let place = Place::new();
    script(&place, "postgres", "echo 'postgres (PostgreSQL) 99.1'");
    script(&place, "initdb", "echo 'it is full in here' >&2; exit 3");
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains("initdb failed for PostgreSQL 99.1"),
        "{error}"
    );
    assert!(
        error.contains("status 3") && error.contains("it is full in here"),
        "{error}"
    );

    script(&place, "initdb", "exit 0");
    script(
        &place,
        "postgres",
        "[ \"$1\" != -V ] || echo 'postgres (PostgreSQL) 99.1'; echo 'no, sir'",
    );
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains("postgres failed for PostgreSQL 99.1") && error.contains("no, sir"),
        "{error}"
    );
}

#[test]
fn links_are_followed_to_the_installation() {
    let mut program = Program::start("use", &[]);
    let Some((_, real)) = program
        .told("kind")
        .split_once("bin_dir: \"")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
    else {
        return; // not an installed server
    };
    let real = real.split('"').next().expect("a path").to_owned();
    let place = Place::new();
    for name in ["postgres", "initdb"] {
        symlink(format!("{real}/{name}"), format!("{}/{name}", place.path())).expect("a link");
    }
    let mut program = Program::start("use", &[("PG_BIN_DIR", place.path())]);
    assert!(
        program
            .told("source")
            .contains(&format!("from {real}, started privately"))
    );
    program.told("ready");
}

#[test]
fn variables_of_the_environment_do_not_reach_the_server() {
    let mut program = Program::start(
        "use",
        &[
            ("DATABASE_URL", ""),
            ("PGDATA", "/no/such/place"),
            ("PGHOST", "/no/such/place"),
            ("PGPORT", "1"),
            ("PGUSER", "nobody"),
            ("PGOPTIONS", "-c nonsense=1"),
            ("PGTZ", "nonsense"),
            ("TZ", "nonsense"),
            ("LANG", "nonsense"),
            ("LC_ALL", "nonsense"),
            ("LD_LIBRARY_PATH", "/no/such/place"),
            ("BASH_ENV", "/no/such/place"),
            ("ENV", "/no/such/place"),
        ],
    );
    program.told("ready");
}

#[test]
fn a_long_temporary_directory_is_no_obstacle() {
    let place = Place::new();
    let long = format!("{}/{}", place.path(), "long, \"quoted\" ".repeat(8));
    fs::create_dir(&long).expect("it can be made");
    fs::set_permissions(&long, fs::Permissions::from_mode(0o1777)).expect("it is ours");
    let mut program = Program::start("use", &[("TMPDIR", &long)]);
    assert!(program.told("directory").starts_with("/tmp/phasegate-pg-"));
    program.told("ready");

    let odd = format!("{}/a, b ü", place.path());
    fs::create_dir(&odd).expect("it can be made");
    fs::set_permissions(&odd, fs::Permissions::from_mode(0o1777)).expect("it is ours");
    let mut program = Program::start("use", &[("TMPDIR", &odd)]);
    assert!(program.told("directory").starts_with(&odd));
    program.told("ready");
    program.wait();
    assert_eq!(fs::read_dir(&odd).expect("it is there").count(), 0);
}

#[test]
fn a_temporary_directory_that_cannot_be_used_is_an_error() {
    let place = Place::new();
    let missing = format!("{}/missing", place.path());
    let error = refusal(&[("TMPDIR", &missing)]);
    assert!(
        error.contains(&missing) && error.contains("Set TMPDIR"),
        "{error}"
    );

    if fs::metadata(place.path()).expect("it is there").uid() != 0 {
        return; // only root runs the server as another account
    }
    let closed = format!("{}/closed", place.path());
    fs::create_dir(&closed).expect("it can be made");
    for mode in [0o700, 0o755] {
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).expect("it is ours");
        let error = refusal(&[("TMPDIR", &closed)]);
        let named = error.contains(&closed) && error.contains("Permission denied");
        assert!(
            named && error.contains("Set TMPDIR") && error.contains("the account `"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&closed).expect("it is there").count(), 0);
    }
}

#[test]
fn a_server_that_the_account_may_not_run_is_an_error() {
    let place = Place::new();
    if fs::metadata(place.path()).expect("it is there").uid() != 0 {
        return; // only root runs the server as another account
    }
    script(&place, "postgres", "echo 'postgres (PostgreSQL) 99.1'");
    script(&place, "initdb", "exit 0");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    let error = refusal(&[("PG_BIN_DIR", place.path())]);
    assert!(
        error.contains("initdb failed for PostgreSQL 99.1"),
        "{error}"
    );
    assert!(error.contains("ermission denied"), "{error}");
}

fn script(place: &Place, name: &str, body: &str) {
    let path = format!("{}/{name}", place.path());
    // Written by another process: our forks must not hold it open for writing while it is run.
    let line = format!(
        "printf '%s\\n' '#!/bin/sh' \"$2\" >\"$1\"; chmod 755 \"$1\" '{}'",
        place.path()
    );
    let written = Command::new("sh")
        .args(["-c", &line, "sh", &path, body])
        .status();
    assert!(written.expect("sh is there").success());
}
