//! The content of the journal, and that every change of it is detected.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use phasegate::{
    Digest, Plan, Receipt,
    audit::{Journal, JournalError},
    plan::RowCounts,
};

use postgres::error::SqlState;

use pipeline::{Draft, pipeline};
use server::{Database, database, drafting, drafting_plan};

/// A database in which the whole pipeline was performed, and its plan.
fn performed() -> (Database, Plan) {
    let (database, draft) = (database(), Draft::of(&["a", "b"]));
    let plan = database.plan(&draft);
    let live = database.live(plan.clone());
    let ran = live
        .run(|run, on| pipeline(run, on, draft))
        .expect("a live run");
    assert_eq!(ran.committed_before, 0);
    (database, plan)
}

fn read(database: &Database, plan: &Plan) -> Journal {
    Journal::read(&mut database.admin(), plan.digest()).expect("the journal")
}

#[test]
fn it_has_a_row_for_each_phase_with_effects_role_and_approvals() {
    let (database, plan) = performed();
    let entries = read(&database, &plan).verify().expect("a chain");
    let names: Vec<_> = entries.iter().map(|entry| &*entry.phase).collect();
    assert_eq!(names, ["draft", "check", "enact", "publish"]);
    for (entry, planned) in entries.iter().zip(plan.phases()) {
        assert_eq!(entry.plan, plan.digest());
        assert_eq!(entry.input, planned.input());
        assert_eq!(entry.pipeline, plan.pipeline());
        assert_eq!(entry.role, database.runner.name());
        assert_eq!(entry.system_identifier, database.target.system_identifier());
        assert_eq!(entry.database, database.target.database());
        assert_eq!(
            entry.application_name,
            format!(
                "phasegate {} {}/{}: small/{}",
                &entry.plan.to_string()[..8],
                entry.place,
                plan.phases().len(),
                entry.phase
            )
        );
        assert!(entry.opened_at < entry.finished_at, "{entry:?}");
        let gates: Vec<_> = entry
            .approvals
            .iter()
            .map(|approval| &approval.gate)
            .collect();
        assert_eq!(gates, planned.gates().iter().collect::<Vec<_>>());
        assert!(
            entry
                .approvals
                .iter()
                .all(|approval| approval.approver == "a double")
        );
        let status: String = database.ask(&format!("SELECT pg_xact_status('{}')", entry.xid));
        assert_eq!(status, "committed");
    }
    let outputs: Vec<_> = entries.iter().map(|entry| &*entry.output).collect();
    assert_eq!(outputs, ["2", "2", "2", "null"]);
    let effects = |place: usize| -> Vec<(&str, [u64; 3])> {
        let each = |e: RowCounts| [e.inserted, e.updated, e.deleted];
        let effects = entries[place].effects.tables();
        effects.map(|(table, e)| (table, each(e))).collect()
    };
    assert_eq!(effects(0), [("public.item", [2, 0, 0])]);
    assert_eq!(effects(1), []);
    assert_eq!(effects(2), [("public.item", [0, 2, 0])]);
}

#[test]
fn an_approval_is_written_once() {
    let (database, _) = performed();
    for tampering in [
        "UPDATE phasegate.approval SET comment = ''",
        "DELETE FROM phasegate.approval",
        "TRUNCATE phasegate.approval CASCADE",
        "UPDATE phasegate.rejection SET comment = ''",
    ] {
        let refused = database.admin().batch_execute(tampering).unwrap_err();
        assert_eq!(
            refused.code().map(SqlState::code),
            Some("ZG008"),
            "{tampering}: {refused}"
        );
    }
}

#[test]
fn what_is_written_once_is_kept_in_replica_mode_too() {
    let (database, _) = performed();
    let mut admin = database.admin();
    admin
        .batch_execute("SET session_replication_role = replica")
        .unwrap();
    for tampering in [
        "UPDATE phasegate.journal SET body = ''",
        "DELETE FROM phasegate.journal",
        "DELETE FROM phasegate.approval",
        "DELETE FROM phasegate.rejection",
    ] {
        let refused = admin.batch_execute(tampering).unwrap_err();
        assert_eq!(
            refused.code().map(SqlState::code),
            Some("ZG008"),
            "{tampering}"
        );
    }
}

/// Returns the error of verifying after a superuser has done `tampering`.
fn tampered(tampering: &str) -> (u32, String) {
    let (database, plan) = performed();
    let mut admin = database.admin();
    // Even the owner of the journal has to disable the triggers first.
    let refused = admin.batch_execute(tampering).unwrap_err();
    assert_eq!(
        refused.code().map(SqlState::code),
        Some("ZG008"),
        "{tampering}: {refused}"
    );
    admin
        .batch_execute(&format!(
            "BEGIN; ALTER TABLE phasegate.journal DISABLE TRIGGER never_changed; {tampering}; \
             ALTER TABLE phasegate.journal ENABLE ALWAYS TRIGGER never_changed; COMMIT"
        ))
        .expect(tampering);
    let broken = read(&database, &plan).verify().expect_err(tampering);
    (broken.place(), broken.to_string())
}

/// The commands of an auditor without phasegate: the chain from the plan's digest, and the texts of
/// the rows, each in a file.
const CHAIN: &str = r#"
set -eu
sum() { sha256sum | cut -c 1-64; }
head=$(printf 'phasegate/journal/1 %s' "$1" | sum)
shift
for row; do head=$(printf '%s %s' "$head" "$(sum <"$row")" | sum); done
printf %s "$head"
"#;

#[test]
fn its_chain_is_recomputed_by_sha256sum_and_a_shell() {
    let (database, plan) = performed();
    let rows = database.admin().query(
        "SELECT body, encode(hash, 'hex') FROM phasegate.journal ORDER BY position",
        &[],
    );
    let directory = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(&directory).args(["-c", CHAIN, "sh"]);
    shell.arg(plan.digest().to_string());
    let mut heads = Vec::new();
    for (place, row) in rows.unwrap().iter().enumerate() {
        let (name, body): (_, &str) = (format!("{place}.json"), row.get(0));
        std::fs::write(directory.path().join(&name), body).unwrap();
        let output = shell.arg(&name).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, row.get::<_, &str>(1).as_bytes(), "{place}");
        heads.push(output.stdout);
    }
    let head: String = database.ask("SELECT encode(head, 'hex') FROM phasegate.run");
    assert_eq!(heads.len(), 4);
    assert_eq!(heads.last().unwrap(), head.as_bytes());
}

#[test]
fn a_row_that_was_changed_is_named() {
    for place in 1..=4 {
        let (found, said) = tampered(&format!(
            "UPDATE phasegate.journal SET body = replace(body, '\"role\": \"', '\"role\": \"not_') WHERE position = {place}"
        ));
        assert_eq!(found, place, "{said}");
    }
}

#[test]
fn a_row_that_was_removed_is_named_also_at_the_end() {
    for place in 1..=4 {
        let (found, said) = tampered(&format!(
            "DELETE FROM phasegate.journal WHERE position = {place}"
        ));
        assert_eq!(found, place, "{said}");
        assert!(said.contains("is missing"), "{said}");
    }
    let (found, _) = tampered("DELETE FROM phasegate.journal WHERE position >= 3");
    assert_eq!(found, 3);
}

#[test]
fn rows_that_changed_places_are_named() {
    let (found, said) = tampered(
        "UPDATE phasegate.journal SET position = 30 WHERE position = 2; \
         UPDATE phasegate.journal SET position = 2 WHERE position = 3; \
         UPDATE phasegate.journal SET position = 3 WHERE position = 30",
    );
    assert_eq!(found, 2, "{said}");
}

#[test]
fn a_row_that_was_added_is_named() {
    let (found, said) = tampered(
        "UPDATE phasegate.journal SET position = position; \
         INSERT INTO phasegate.journal SELECT plan, 5, gen_random_uuid(), body, hash FROM phasegate.journal WHERE position = 4",
    );
    assert_eq!(found, 5, "{said}");
}

#[test]
fn a_chain_rehashed_from_the_middle_on_differs_from_its_head() {
    // Row 4 is rewritten with a hash that fits; only the head, outside the journal, knows.
    let (found, said) = tampered(
        "UPDATE phasegate.journal AS j SET body = replace(j.body, 'publish', 'polish'), \
           hash = phasegate.next_head(p.hash, replace(j.body, 'publish', 'polish')) \
         FROM phasegate.journal AS p WHERE j.position = 4 AND p.plan = j.plan AND p.position = 3",
    );
    assert_eq!(found, 4, "{said}");
    assert!(said.contains("keeps the chain's head"), "{said}");
}

#[test]
fn a_rewritten_chain_must_still_name_its_own_plan_and_place() {
    for body in [
        r#"replace(body, '"place": 1', '"place": 7')"#,
        r#"regexp_replace(body, '"plan": "(.)(.*?)"', '"plan": "\2\1"')"#,
    ] {
        let (database, draft) = (database(), Draft::of(&["a"]));
        let plan = drafting_plan(&database.target, &draft);
        let live = database.live(plan.clone());
        let _ = live
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
            .unwrap();
        database.sql(&format!(
            "ALTER TABLE phasegate.journal DISABLE TRIGGER never_changed; \
             UPDATE phasegate.journal SET body = {body}; \
             UPDATE phasegate.journal SET hash = phasegate.next_head(phasegate.first_head(plan), body); \
             UPDATE phasegate.run AS r SET head = j.hash FROM phasegate.journal AS j WHERE j.plan = r.plan"
        ));
        let broken = read(&database, &plan).verify().unwrap_err();
        assert!(
            broken.to_string().contains("another plan or place"),
            "{broken}"
        );
    }
}

#[test]
fn only_an_admitted_plan_has_a_journal_empty_at_first() {
    let database = database();
    let unknown = Digest::of(b"unknown");
    let error = Journal::read(&mut database.admin(), unknown).unwrap_err();
    assert!(
        matches!(error, JournalError::NoSuchPlan(plan) if plan == unknown),
        "{error}"
    );
    let plan = database.plan(&Draft::of(&["a"]));
    database.admit(&plan);
    assert_eq!(read(&database, &plan).verify().expect("a chain"), []);
}

#[test]
fn an_auditor_reads_it_and_the_runner_does_not() {
    let (database, plan) = performed();
    let runner = database.runner.name();
    let mut client = database
        .runner
        .config()
        .connect(postgres::NoTls)
        .expect("the runner");
    let error = Journal::read(&mut client, plan.digest()).unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("GRANT phasegate_auditor TO"), "{hint}");
    database.sql(&format!("GRANT phasegate_auditor TO {runner}"));
    let journal = Journal::read(&mut client, plan.digest()).expect("the journal");
    assert_eq!(journal.verify().expect("a chain").len(), 4);
}
