//! A run that is watched from outside, stopped by signals, and measured.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use closing::{CloseAccounts, Predict, Report, pipeline};
use phasegate::prelude::*;
use serde_json::Value;

use crate::schemas::validated;
use crate::site::{Ran, Site, prepared, signer};

/// A site with a change that can run: planned, approved, admitted, switched on. Returns its directory.
fn ready(numbers: &[String]) -> (Site, String) {
    let site = prepared();
    site.sql("INSERT INTO bank.account SELECT 'A' || n FROM generate_series(10, 999) AS n");
    let path = |name: &str| site.dir.path().join(name).to_str().unwrap().to_owned();
    let (dir, policy, signers) = (path("change"), path("policy"), path("signers"));
    let mut plan = site.command();
    plan.arg("plan").args(numbers);
    plan.args(["--out", &dir, "--author", "grace"]);
    Ran::from(plan.output().unwrap()).expect(0);
    let (ada, grace) = (site.key("ada"), site.key("grace"));
    let rule = r#"{ "schema": "phasegate/policy/1", "gates": { "SG_1": { "approvers": ["ada"], "needs": 1,
        "longest_life": 86400 } } }"#;
    fs::write(&policy, rule).unwrap();
    fs::write(&signers, signer("ada", &ada) + &signer("grace", &grace)).unwrap();
    site.approve(&dir, "ada", &ada);
    site.phasegate(
        "",
        ["admit", &dir, "--policy", &policy, "--signers", &signers],
    )
    .expect(0);
    site.phasegate("", ["switch", "on", "--why", "test"])
        .expect(0);
    (site, dir)
}

/// Begins `closing run` as a process of its own.
fn run(site: &Site, dir: &str) -> Child {
    let mut command = site.command();
    command.args(["run", dir, "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// Waits until `sql` returns true.
#[track_caller]
fn until(site: &Site, sql: &str) {
    let mut admin = site.admin();
    let begun = Instant::now();
    while !admin.query_one(sql, &[]).unwrap().get::<_, bool>(0) {
        assert!(begun.elapsed() < Duration::from_mins(1), "{sql}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const SLEEPS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')";

const SLOW: &str = "CREATE FUNCTION bank.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      PERFORM pg_sleep(tg_argv[0]::double precision); RETURN new; END $$;";

/// What `watch --once --json` shows.
#[track_caller]
fn watched(site: &Site) -> Value {
    let seen = site.phasegate("", ["watch", "--once", "--json"]).expect(0);
    validated(&seen.json())["result"].clone()
}

#[test]
fn a_run_is_seen_from_outside_with_those_it_waits_for_and_holds_up() {
    let (site, dir) = ready(&["A1".to_owned(), "A2".to_owned()]);
    let before = watched(&site);
    assert_eq!(
        (&before["holder"], &before["committed"]),
        (&Value::Null, &0.into())
    );
    assert!(
        before["ends"]
            .as_str()
            .unwrap()
            .starts_with("when the runner performs"),
        "{before}"
    );

    // It waits for the row of A2, which another session has locked, and holds up a third one, which wants A1.
    let (mut blocker, mut waiter) = (site.admin(), site.admin());
    let mut lock = blocker.transaction().unwrap();
    lock.execute(
        "UPDATE bank.account SET closed = closed WHERE number = 'A2'",
        &[],
    )
    .unwrap();
    let child = run(&site, &dir);
    let waits =
        |waiting: i32| format!("SELECT count(*) = {waiting} FROM pg_locks WHERE NOT granted");
    until(&site, &waits(1));
    let held_up = std::thread::spawn(move || {
        waiter.execute(
            "UPDATE bank.account SET closed = closed WHERE number = 'A1'",
            &[],
        )
    });
    until(&site, &waits(2));
    let seen = watched(&site);
    let lengths = |what: &str| seen[what].as_array().unwrap().len();
    assert_eq!(
        (lengths("waits_for"), lengths("holds_up")),
        (1, 1),
        "{seen}"
    );
    assert!(
        seen["holder"]["pid"].is_number() && seen["holder"]["role"].is_string(),
        "{seen}"
    );
    assert!(seen["waits_for"][0]["role"].is_string(), "{seen}");
    let ends = seen["ends"].as_str().unwrap();
    assert!(
        ends.contains("ends its transaction") && ends.contains("close_accounts"),
        "{ends}"
    );
    let text = site.phasegate("", ["watch", "--once"]).expect(0).out;
    eprintln!("{text}");
    for line in [
        "1/2 close_accounts: open",
        "waits for process",
        "holds up process",
        "switch ON until",
        "ends: when process",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // For monitoring, too.
    let metrics = site.phasegate("", ["metrics"]).expect(0).out;
    assert!(
        metrics.contains(
            "phasegate_phase_open_seconds{pipeline=\"closing\",phase=\"close_accounts\"} "
        ),
        "{metrics}"
    );

    // Followed by a process without a terminal: one line at each change, and the end of the run ends it.
    let mut follow = site.command();
    follow
        .args(["watch", &dir])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let follow = follow.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    lock.rollback().unwrap();
    let ran: Ran = child.wait_with_output().unwrap().into();
    let ran = ran.expect(0);
    let followed: Ran = follow.wait_with_output().unwrap().into();
    let followed = followed.expect(0).out;
    eprintln!("{followed}");
    assert!(
        followed.contains("2 of 2 phases committed") && followed.contains("it has ended"),
        "{followed}"
    );
    assert!(!followed.contains('\u{1b}'), "{followed}");
    held_up.join().unwrap().unwrap();

    // The events of the run, each as its schema says.
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| validated(&serde_json::from_str(line).unwrap()))
        .collect();
    eprintln!("{}", ran.out);
    let (last, events) = lines.split_last().unwrap();
    assert_eq!(last["schema"], "phasegate/cli/run/1");
    let names: Vec<_> = events
        .iter()
        .map(|event| event["result"]["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names[0], *names.last().unwrap()),
        ("run_begins", "run_ends")
    );
    for name in ["phase_begins", "approval_used", "rows", "phase_ends"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(
        !ran.out.contains("A2"),
        "no input is in a stream: {}",
        ran.out
    );
    let after = watched(&site);
    assert_eq!(after["next"], Value::Null);
    site.phasegate("", ["watch", "0000000000", "--once"])
        .expect(10);
}

/// Closes the accounts in chunks.
struct Batches;

impl Execute<CloseAccounts> for Batches {
    fn execute(
        &mut self,
        spec: &CloseAccounts,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let given = serde_json::to_value(spec).map_err(Failure::new)?;
        let numbers: Vec<String> =
            serde_json::from_value(given["numbers"].clone()).map_err(Failure::new)?;
        let closed = tx.batch(&numbers).call(
            "close_account",
            |number, params| params.with(*number),
            |_, phasegate::batch::Discard| Ok(()),
        )?;
        Ok(closed.len() as u64)
    }
}

impl Execute<Report> for Batches {
    fn execute(&mut self, _: &Report, closed: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        closing::Bank.execute(&Report {}, closed, tx)
    }
}

#[test]
fn chunks_publish_how_many_rows_are_done() {
    let numbers: Vec<String> = (1..=600).map(|n| format!("A{n}")).collect();
    let (site, dir) = ready(&numbers);
    site.sql(&format!(
        "{SLOW} CREATE TRIGGER slow BEFORE UPDATE ON bank.account FOR EACH ROW
        EXECUTE FUNCTION bank.slow('0.02')"
    ));
    let io = site.io();
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            let program = phasegate::program("closing")
                .input(|given: CloseAccounts| Ok(given))
                .simulator(|_| Ok(Predict))
                .adapter(|_| Ok(Batches))
                .dry(pipeline)
                .rehearsed(pipeline)
                .live(pipeline);
            program.run(["closing", "run", &dir], &io)
        });
        let begun = Instant::now();
        let rows = loop {
            let rows = watched(&site)["rows"].clone();
            if rows["done"].as_u64().is_some_and(|done| done > 0)
                || begun.elapsed() > Duration::from_mins(1)
            {
                break rows;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        eprintln!("{}", site.phasegate("", ["watch", "--once"]).out);
        assert_eq!(rows["total"], 600, "{rows}");
        assert!(
            rows["per_second"].is_number() && rows["seconds_left"].is_number(),
            "{rows}"
        );
        let names = "SELECT bool_or(application_name ~ '^phasegate [0-9a-f]{8} 1/2 [0-9]+/600$') FROM pg_stat_activity";
        until(&site, names);
        site.phasegate("", ["switch", "off"]).expect(0);
        assert_eq!(running.join().unwrap(), 22);
    });
    assert_eq!(site.closed(), 0);
}

#[test]
fn the_first_signal_stops_in_order() {
    for name in ["-INT", "-TERM"] {
        let (site, dir) = ready(&["A1".to_owned()]);
        site.sql(&format!(
            "{SLOW} CREATE TRIGGER slow BEFORE UPDATE ON bank.account FOR EACH ROW
            EXECUTE FUNCTION bank.slow('600')"
        ));
        let child = run(&site, &dir);
        until(&site, SLEEPS);
        signal(&child, name);
        let ran: Ran = child.wait_with_output().unwrap().into();
        let ran = ran.expect(22);
        assert!(
            ran.err.contains("stopping: close_accounts is rolled back"),
            "{}",
            ran.err
        );
        assert!(ran.out.contains("\"event\":\"stopping\""), "{}", ran.out);
        assert_eq!(
            validated(&ran.json())["error"]["code"],
            "stopped_by_program"
        );
        assert_eq!(site.closed(), 0);
    }
}

#[test]
fn a_third_signal_during_the_commit_leaves_it_in_doubt() {
    let (site, dir) = ready(&["A1".to_owned()]);
    site.sql(&format!(
        "{SLOW} CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON bank.account
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.slow('600')"
    ));
    let child = run(&site, &dir);
    until(&site, SLEEPS);
    for _ in 0..3 {
        signal(&child, "-TERM");
        std::thread::sleep(Duration::from_millis(300));
    }
    let ran: Ran = child.wait_with_output().unwrap().into();
    eprintln!("{}", ran.err);
    let ran = ran.expect(30);
    for said in [
        "stopping: the commit of close_accounts was sent",
        "already stopping: waiting",
        "ended at once",
    ] {
        assert!(ran.err.contains(said), "{}", ran.err);
    }
    site.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    site.sql("DROP TRIGGER slow ON bank.account");
    // The same command again finds out, and goes on.
    Ran::from(run(&site, &dir).wait_with_output().unwrap()).expect(0);
    assert_eq!(site.closed(), 1);
}

/// Reads the text format, and returns the names of the metrics that have values, and of all.
fn parsed(text: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut valued, mut all) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(all.insert(name.to_owned()), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let (name, labels) = series
                .split_once('{')
                .map_or((series, ""), |(name, labels)| (name, labels));
            assert!(all.contains(name), "before its type: {line}");
            assert!(labels.is_empty() || labels.ends_with("\"}"), "{line}");
            valued.insert(name.to_owned());
        }
    }
    (valued, all)
}

#[test]
fn metrics_are_in_the_text_format_and_the_rules_are_about_them() {
    let (site, dir) = ready(&["A1".to_owned(), "A2".to_owned()]);
    let waiting = site.phasegate("", ["metrics"]).expect(0).out;
    let (valued, _) = parsed(&waiting);
    assert!(
        valued.contains("phasegate_approvals_expiring_timestamp_seconds"),
        "{waiting}"
    );
    assert!(
        waiting.contains("phasegate_switch_on 1\n") && waiting.contains("phasegate_runs_open 1\n"),
        "{waiting}"
    );
    let digest = site.phasegate("", ["show", &dir, "--json"]).json()["plan"]
        .as_str()
        .unwrap()[..8]
        .to_owned();
    site.closing(["run", &dir]).expect(0);
    site.phasegate("", ["switch", "off"]).expect(0);
    let done = site.phasegate("", ["metrics"]).expect(0).out;
    eprintln!("{done}");
    for line in [
        "phasegate_switch_on 0",
        "phasegate_runs_open 0",
        "phasegate_phases_committed_total{pipeline=\"closing\"} 2",
        "phasegate_rows_total{pipeline=\"closing\",table=\"bank.account\",kind=\"updated\"} 2",
        "phasegate_rows_total{pipeline=\"closing\",table=\"bank.report\",kind=\"inserted\"} 1",
    ] {
        assert!(done.lines().any(|found| found == line), "{line}: {done}");
    }
    assert!(!done.contains(&digest) && !waiting.contains(&digest));
    validated(&site.phasegate("", ["metrics", "--json"]).expect(0).json());
    let (_, all) = parsed(&done);
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/alerts.yml");
    let rules = fs::read_to_string(rules).unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/watching.md");
    let page = fs::read_to_string(page).unwrap();
    let expressions: Vec<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .collect();
    let alerts: Vec<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert_eq!((expressions.len(), alerts.len()), (3, 3));
    for expression in expressions {
        let name = expression.split(' ').next().unwrap();
        assert!(all.contains(name), "{name}: {all:?}");
    }
    for name in alerts.into_iter().map(str::to_owned).chain(all) {
        assert!(
            page.contains(&name),
            "docs/watching.md has nothing of {name}"
        );
    }
}
