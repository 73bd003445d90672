//! A change that recurs: each rehearsal makes a plan of its own, and the operator is told of the one before.

use phasegate::operator::PlanAdmission;
use phasegate::{Plan, Receipt};

use crate::pipeline::{Adapter, Draft, pipeline};
use crate::server::{database, does, drafting};
use crate::{inserts, live, rehearse, rehearsed};

#[test]
fn two_rehearsals_make_two_plans_of_one_change() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let [first, second] = [(), ()].map(|()| rehearse(&database, &draft, inserts).unwrap().plan);
    assert_ne!(first.digest(), second.digest());
    assert_eq!(first.change(), second.change());
    assert!(first.occasion().unwrap().starts_with("rehearsed 20"));
    let named = phasegate::RehearsalRunner::new(crate::server::PIPELINE)
        .occasion("ticket 1207")
        .connector(database.connector())
        .adapter(does(inserts))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    assert_eq!(named.plan.occasion(), Some("ticket 1207"));
    assert_eq!(named.plan.change(), first.change());
}

#[test]
fn an_operator_is_told_of_the_same_change_that_was_committed() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let monday = rehearsed(&database, &draft, inserts);
    live(&database, &monday, &draft, inserts).unwrap();
    database.sql("DELETE FROM item");
    let tuesday = rehearse(&database, &draft, inserts).unwrap().plan;
    let admission = database.operator().admit_plan(&tuesday).unwrap();
    let PlanAdmission::Recurring { before, .. } = admission else {
        panic!("{admission:?}");
    };
    assert_eq!(before, monday.digest());
    assert!(
        admission
            .to_string()
            .contains("the same change was committed at 20")
    );
    // It does the same again.
    live(&database, &tuesday, &draft, inserts).unwrap();
    let again = database.operator().admit_plan(&tuesday).unwrap();
    assert!(matches!(again, PlanAdmission::Performed { .. }), "{again}");
}

#[test]
fn another_change_that_was_committed_does_not_count() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let monday = rehearsed(&database, &draft, inserts);
    live(&database, &monday, &draft, inserts).unwrap();
    let other = rehearse(&database, &Draft::of(&["b"]), inserts)
        .unwrap()
        .plan;
    let admission = database.operator().admit_plan(&other).unwrap();
    assert_eq!(admission, PlanAdmission::New);
}

#[test]
fn a_change_that_was_not_finished_does_not_count() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let _ = rehearsed(&database, &draft, inserts);
    let other = rehearse(&database, &draft, inserts).unwrap().plan;
    let admission = database.operator().admit_plan(&other).unwrap();
    assert_eq!(admission, PlanAdmission::New);
}

#[test]
fn a_change_of_which_some_phases_are_committed_does_not_count() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let rehearsal = || {
        let runner = phasegate::RehearsalRunner::new(crate::server::PIPELINE)
            .connector(database.connector())
            .adapter(Adapter);
        runner
            .run(|run, on| pipeline(run, on, draft.clone()))
            .unwrap()
            .plan
    };
    let half = database
        .live(rehearsal())
        .run(|run, on| drafting(run, on, &draft).map(drop));
    assert!(
        matches!(half, Err(phasegate::Error::Incomplete(_))),
        "{half:?}"
    );
    database.sql("DELETE FROM item");
    let admission = database.operator().admit_plan(&rehearsal()).unwrap();
    assert_eq!(admission, PlanAdmission::New);
}

#[test]
fn an_admitted_plan_is_read_from_the_database() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = rehearsed(&database, &draft, inserts);
    let mut runner = database.runner.config().connect(postgres::NoTls).unwrap();
    assert_eq!(Plan::admitted(&mut runner, plan.digest()).unwrap(), plan);
    let error = Plan::admitted(&mut runner, plan.change()).unwrap_err();
    assert_eq!(error.code(), "plan_not_admitted_here");
    let other = database.role("other");
    database.sql(&format!("GRANT phasegate_runner TO {}", other.name()));
    let mut other = other.config().connect(postgres::NoTls).unwrap();
    let error = Plan::admitted(&mut other, plan.digest()).unwrap_err();
    assert_eq!(error.code(), "plan_not_admitted_here", "{error}");
}
