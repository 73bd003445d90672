//! The whole flow of a change, by the real program against a private server: an author, two reviewers and an operator
//! in two clones of one repository, a run that fails half way, its resumption, and an auditor.

// The flow is told from its begin to its end.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod commands;
mod refusals;
mod schemas;
mod site;
mod watching;

use std::fs;
use std::path::Path;

use site::{Site, git, signer};

const POLICY: &str = r#"{ "schema": "phasegate/policy/1",
  "gates": { "SG_1": { "approvers": ["ada", "mary"], "needs": 2, "longest_life": 86400 } } }"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_change_from_its_author_to_its_auditor() {
    let site = Site::new();
    let json = |ran: &site::Ran| schemas::validated(&ran.json());

    // The owner sets up the database.
    site.phasegate("", ["init", "bank.account", "bank.report"])
        .expect(0);
    site.grant();
    site.phasegate("", ["doctor"]).expect(0);

    // One repository; policy and keys are on its protected branch.
    let root = site.dir.path();
    let (author, other) = (root.join("author"), root.join("other"));
    git(
        root,
        [
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            "origin",
        ],
    );
    git(root, ["clone", "--quiet", "origin", "author"]);
    let (ada, mary, grace) = (site.key("ada"), site.key("mary"), site.key("grace"));
    fs::write(author.join("policy.json"), POLICY).unwrap();
    let signers = [
        signer("ada", &ada),
        signer("mary", &mary),
        signer("grace", &grace),
    ]
    .concat();
    fs::write(author.join("allowed_signers"), &signers).unwrap();
    git(&author, ["checkout", "--quiet", "-B", "main"]);
    git(&author, ["add", "."]);
    git(&author, ["commit", "--quiet", "-m", "policy"]);
    git(&author, ["push", "--quiet", "origin", "main"]);

    // The author plans, rehearses, and opens a request: a branch with the change directory.
    let change = author.join("changes/closing");
    let dir = text(&change);
    let planned = site.closing([
        "plan",
        "A1",
        "A2",
        "--out",
        dir,
        "--author",
        "grace",
        "--commit-input",
        "--json",
    ]);
    json(&planned.expect(0));
    let again = site
        .closing(["plan", "A1", "--out", dir, "--author", "grace", "--json"])
        .expect(10);
    assert_eq!(json(&again)["error"]["code"], "change_exists");
    json(&site.closing(["replan", dir, "--json"]).expect(0));
    json(&site.closing(["rehearse", dir, "--json"]).expect(0));
    assert_eq!(site.closed(), 0, "a rehearsal leaves nothing");
    git(&author, ["checkout", "--quiet", "-b", "closing"]);
    git(&author, ["add", "."]);
    git(&author, ["commit", "--quiet", "-m", "close two accounts"]);
    git(&author, ["push", "--quiet", "origin", "closing"]);

    // Before it is approved, nothing runs, and `check` lists what is missing.
    let missing = json(&site.closing(["check", dir, "--json"]).expect(3));
    let about: Vec<_> = missing["result"]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["state"] == "missing")
        .map(|finding| finding["about"].as_str().unwrap())
        .collect();
    assert_eq!(about, ["admitted", "gate", "switch"]);
    let early = json(&site.closing(["run", dir, "--json"]).expect(11));
    assert_eq!(
        early["error"]["command"],
        "closing switch on --why REASON --for 30m"
    );

    // Two reviewers, each with the program that has no pipeline, in another clone.
    git(
        root,
        ["clone", "--quiet", "--branch", "closing", "origin", "other"],
    );
    let change = other.join("changes/closing");
    let dir = text(&change);
    let digest = json(&site.phasegate("", ["show", dir, "--json"]).expect(0))["plan"]
        .as_str()
        .unwrap()
        .to_owned();
    for (name, key) in [("ada", &ada), ("mary", &mary)] {
        let approve = [
            "approve",
            dir,
            "--gate",
            "SG_1",
            "--as",
            name,
            "--key",
            text(key),
            "--comment",
            "read it",
        ];
        let wrong = site.phasegate("00000000", approve).expect(10);
        assert!(wrong.err.contains("[not_confirmed]"), "{}", wrong.err);
        let away = site.phasegate("", approve).expect(10);
        assert!(away.err.contains("[no_terminal]"), "{}", away.err);
        site.phasegate(&digest[..8], approve).expect(0);
    }
    git(&other, ["add", "."]);
    git(&other, ["commit", "--quiet", "-m", "approvals"]);
    git(&other, ["push", "--quiet", "origin", "closing"]);

    // An operator admits, by the rules of the protected branch.
    let policy = [
        "--policy-from",
        "origin/main:policy.json",
        "--signers-from",
        "origin/main:allowed_signers",
    ];
    let admitted = site.phasegate(
        "",
        [
            "admit", dir, policy[0], policy[1], policy[2], policy[3], "--json",
        ],
    );
    assert_eq!(json(&admitted.expect(0))["result"]["gates"][0]["needs"], 2);
    json(
        &site
            .phasegate("", ["switch", "on", "--why", "ticket 1207", "--json"])
            .expect(0),
    );
    json(&site.phasegate("", ["switch", "status", "--json"]).expect(0));
    json(&site.closing(["check", dir, "--json"]).expect(0));

    // The second phase fails, once: what is committed stays.
    site.sql("ALTER TABLE bank.report ADD CONSTRAINT none_fits CHECK (false) NOT VALID");
    let failed = json(&site.closing(["run", dir, "--json"]).expect(20));
    assert_eq!(failed["error"]["phase"], "report");
    assert_eq!(failed["error"]["sqlstate"], "23514");
    assert_eq!(failed["error"]["command"], format!("closing run {dir}"));
    assert_eq!(site.closed(), 2);
    let open = json(&site.phasegate("", ["runs", "--open", "--json"]).expect(0));
    assert_eq!(open["result"]["runs"][0]["committed"], 1);

    // The same command, in the author's clone: the run goes on.
    site.sql("ALTER TABLE bank.report DROP CONSTRAINT none_fits");
    git(&author, ["pull", "--quiet", "origin", "closing"]);
    let author = author.join("changes/closing");
    let resumed = json(&site.closing(["run", text(&author), "--json"]).expect(0));
    assert_eq!(
        (
            &resumed["result"]["performed"],
            &resumed["result"]["committed_before"]
        ),
        (&1.into(), &1.into())
    );
    let once_more = json(&site.closing(["run", text(&author), "--json"]).expect(0));
    assert_eq!(once_more["result"]["performed"], 0);
    json(
        &site
            .phasegate("", ["switch", "off", "done", "--json"])
            .expect(0),
    );
    let history = json(
        &site
            .phasegate("", ["switch", "history", "--json"])
            .expect(0),
    );
    assert_eq!(history["result"]["turns"][0]["why"], "done");

    // An auditor collects the evidence, and verifies it with keys from elsewhere.
    let collected = json(&site.phasegate("", ["evidence", dir, "--json"]).expect(0));
    let head = collected["result"]["head"].as_str().unwrap();
    let evidence = change.join("evidence");
    let keys = root.join("signers");
    fs::write(&keys, &signers).unwrap();
    let verify = |head: &str| {
        site.phasegate(
            "",
            [
                "verify",
                text(&evidence),
                "--signers",
                text(&keys),
                "-p",
                &digest,
                "-e",
                head,
                "--json",
            ],
        )
    };
    json(&verify(head).expect(0));
    let unlike = json(&verify(&digest).expect(40));
    assert_eq!(unlike["error"]["code"], "not_verified");
    // A script that is put into the evidence is not run.
    fs::write(evidence.join("verify.sh"), "exit 0").unwrap();
    json(&verify(head).expect(40));
}
