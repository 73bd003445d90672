//! What a program refuses, and that each refusal says which command goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::schemas::validated;
use crate::site::prepared;

#[test]
fn the_input_stays_with_its_author_unless_asked() {
    let site = prepared();
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    site.closing(["plan", "A1", "--out", dir, "--author", "grace"])
        .expect(0);
    let input = change.join("input.json");
    assert_eq!(
        fs::metadata(&input).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_to_string(&input).unwrap(), r#"{"numbers":["A1"]}"#);
    assert_eq!(
        fs::read_to_string(change.join(".gitignore")).unwrap(),
        "/input.json\n"
    );
    // Without it nothing runs; with another, no phase does.
    fs::remove_file(&input).unwrap();
    let lacking = validated(&site.closing(["run", dir, "--json"]).expect(10).json());
    assert_eq!(lacking["error"]["code"], "file_not_read");
    assert_eq!(lacking["error"]["command"], format!("closing check {dir}"));
    fs::write(&input, r#"{"numbers":["A1","A2"]}"#).unwrap();
    let differs = site.closing(["replan", dir, "--json"]).expect(4);
    assert_ne!(
        validated(&differs.json())["result"]["differences"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn another_input_than_that_of_the_plan_is_not_performed() {
    let site = prepared();
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    site.closing(["plan", "A1", "--out", dir, "--author", "grace"])
        .expect(0);
    let (ada, policy, signers) = (
        site.key("ada"),
        site.dir.path().join("policy"),
        site.dir.path().join("signers"),
    );
    fs::write(
        &policy,
        r#"{ "schema": "phasegate/policy/1", "gates": { "SG_1": { "approvers": ["ada"], "needs": 1,
        "longest_life": 86400 } } }"#,
    )
    .unwrap();
    let grace = site.key("grace");
    let lines = [
        crate::site::signer("ada", &ada),
        crate::site::signer("grace", &grace),
    ]
    .concat();
    fs::write(&signers, lines).unwrap();
    site.approve(dir, "ada", &ada);
    let (policy, signers) = (policy.to_str().unwrap(), signers.to_str().unwrap());
    // Rules that the author of the change could have written do not count.
    let own = change.join("policy.json");
    fs::copy(policy, &own).unwrap();
    let admit = [
        "admit",
        dir,
        "--policy",
        own.to_str().unwrap(),
        "--signers",
        signers,
    ];
    let refused = site.phasegate("", admit).expect(10);
    assert!(
        refused.err.contains("[policy_in_change]"),
        "{}",
        refused.err
    );
    site.phasegate("", ["admit", dir, "--policy", policy, "--signers", signers])
        .expect(0);
    site.phasegate("", ["switch", "on", "--why", "test"])
        .expect(0);

    fs::write(change.join("input.json"), r#"{"numbers":["A2"]}"#).unwrap();
    let changed = validated(&site.closing(["run", dir, "--json"]).expect(10).json());
    assert_eq!(changed["error"]["code"], "input_changed");
    assert_eq!(site.closed(), 0);

    // A signal stops the run in order: the phase that waits for a lock leaves nothing.
    fs::write(change.join("input.json"), r#"{"numbers":["A1"]}"#).unwrap();
    let mut blocker = site.admin();
    let mut lock = blocker.transaction().unwrap();
    lock.batch_execute("LOCK TABLE bank.account IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let mut command = site.command();
    command
        .args(["run", dir, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    let waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'bank.account'::regclass";
    while lock.query_one(waiting, &[]).unwrap().get::<_, i64>(0) == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the phase does not wait for the lock"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let stopped: crate::site::Ran = child.wait_with_output().unwrap().into();
    let stopped = stopped.expect(22);
    assert!(stopped.err.contains("stopping"), "{}", stopped.err);
    assert_eq!(
        validated(&stopped.json())["error"]["code"],
        "stopped_by_program"
    );
    drop(lock);
    assert_eq!(site.closed(), 0);
    site.closing(["run", dir]).expect(0);
    assert_eq!(site.closed(), 1);
}

#[test]
fn a_rejection_stops_the_plan() {
    let site = prepared();
    let change = site.dir.path().join("change");
    let dir = change.to_str().unwrap();
    site.closing(["plan", "A1", "--out", dir, "--author", "grace"])
        .expect(0);
    let (ada, grace) = (site.key("ada"), site.key("grace"));
    let (policy, signers) = (
        site.dir.path().join("policy"),
        site.dir.path().join("signers"),
    );
    fs::write(
        &policy,
        r#"{ "schema": "phasegate/policy/1", "gates": { "SG_1": { "approvers": ["ada"], "needs": 1,
        "longest_life": 86400 } } }"#,
    )
    .unwrap();
    fs::write(
        &signers,
        [
            crate::site::signer("ada", &ada),
            crate::site::signer("grace", &grace),
        ]
        .concat(),
    )
    .unwrap();
    let key = ada.to_str().unwrap();
    // It asks no question.
    let reject = [
        "reject",
        dir,
        "--gate",
        "SG_1",
        "--as",
        "ada",
        "--key",
        key,
        "--comment",
        "wrong accounts",
    ];
    site.phasegate("", reject).expect(0);
    let admit = [
        "admit",
        dir,
        "--policy",
        policy.to_str().unwrap(),
        "--signers",
        signers.to_str().unwrap(),
        "--json",
    ];
    let admitted = validated(&site.phasegate("", admit).expect(3).json());
    assert_eq!(admitted["result"]["rejections"][0]["by"], "ada");
    site.phasegate("", ["switch", "on", "--why", "test"])
        .expect(0);
    let run = validated(&site.closing(["run", dir, "--json"]).expect(12).json());
    assert_eq!(run["error"]["code"], "approval_rejected");
    assert_eq!(
        run["error"]["command"],
        "closing plan --out NEW_DIR --author NAME .."
    );
    assert_eq!(site.closed(), 0);
}

#[test]
fn arguments_and_environment_are_refused_with_their_own_codes() {
    let io = phasegate::program::CapturedIo::new();
    let run = |args: &[&str]| phasegate::program::standalone().run(args.iter().copied(), &io);
    assert_eq!(run(&["phasegate", "nonsense"]), 2);
    assert_eq!(
        run(&["phasegate", "verify", "/nowhere"]),
        2,
        "keys have to be given"
    );
    let json = phasegate::program::CapturedIo::new();
    let args = ["phasegate", "nonsense", "--json"];
    assert_eq!(phasegate::program::standalone().run(args, &json), 2);
    let object = validated(&serde_json::from_str(&json.answer()).unwrap());
    assert_eq!(object["error"]["code"], "usage");
    assert_eq!(run(&["phasegate", "--help"]), 0);
    assert_eq!(run(&["phasegate", "switch", "status"]), 10);
    assert!(
        io.messages().contains("Set PHASEGATE_OPERATOR_URL"),
        "{}",
        io.messages()
    );
    let io = io.with_var(
        "DATABASE_URL",
        "host=/nowhere user=nobody dbname=none password=geheim",
    );
    assert_eq!(
        phasegate::program::standalone().run(["phasegate", "switch", "off"], &io),
        50
    );
    let io = io.with_var("DATABASE_URL", "password=geheim nonsense");
    assert_eq!(
        phasegate::program::standalone().run(["phasegate", "switch", "off"], &io),
        10
    );
    assert!(!io.messages().contains("geheim"), "{}", io.messages());
}
