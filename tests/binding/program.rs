//! The program that makes a plan and performs it, by the digest of its executable.

use phasegate::audit::Journal;
use phasegate::error::RefusalReason;
use phasegate::plan::ProgramIdentity;
use phasegate::{Digest, Plan, Receipt, RehearsalRunner};

use crate::inserts;
use crate::pipeline::Draft;
use crate::server::{Database, PIPELINE, database, does, drafting, refusal};

fn this_program() -> ProgramIdentity {
    ProgramIdentity::of_this_process()
        .unwrap()
        .version("1.2.3")
        .commit("c90351d")
}

fn plan(database: &Database, draft: &Draft, program: Option<ProgramIdentity>) -> Plan {
    let runner = RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(does(inserts));
    let runner = match program {
        Some(program) => runner.program(program),
        None => runner,
    };
    let rehearsed = runner.run(|run, on| drafting(run, on, draft).map(Receipt::into_output));
    rehearsed.unwrap().plan
}

#[test]
fn the_digest_is_that_of_the_executable() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(this_program().sha256(), Digest::of(&bytes));
    assert!(this_program().name().starts_with("binding"));
}

#[test]
fn the_plan_and_the_journal_name_the_program() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = plan(&database, &draft, Some(this_program()));
    assert_eq!(plan.program(), Some(&this_program()));
    assert!(plan.to_string().contains("1.2.3, commit c90351d, sha256 "));
    let runner = database.live_by(plan.clone(), does(inserts));
    let _ = runner
        .runner()
        .program(this_program())
        .same_program()
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    let entries = journal.verify().unwrap();
    assert_eq!(entries[0].program, Some(this_program()));
}

#[test]
fn another_program_is_refused_where_the_same_is_demanded() {
    let database = database();
    let draft = Draft::of(&["a"]);
    for made_by in [None, Some(other_program())] {
        let plan = plan(&database, &draft, made_by.clone());
        let runner = database
            .live_by(plan, does(inserts))
            .runner()
            .same_program();
        let refused = runner.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let refusal = refusal(refused);
        match refusal.reason() {
            RefusalReason::AnotherProgram { planned, running } => {
                assert_eq!(planned.as_deref(), made_by.as_ref());
                let running = running.as_ref().unwrap();
                assert_eq!(running.sha256(), this_program().sha256());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(refusal.code(), "another_program");
    }
    assert_eq!(database.items(), []);
}

#[test]
fn without_the_demand_another_program_may_perform_the_plan() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = plan(&database, &draft, Some(other_program()));
    let runner = database.live_by(plan.clone(), does(inserts));
    let _ = runner
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    assert_eq!(journal.verify().unwrap()[0].program, None);
}

/// What another executable would say of itself.
fn other_program() -> ProgramIdentity {
    let text = serde_json::to_string(&this_program()).unwrap();
    let other = text.replace(
        &this_program().sha256().to_string(),
        &Digest::of(b"another build").to_string(),
    );
    serde_json::from_str(&other).unwrap()
}
