//! A live phase sends the statements that its rehearsal has sent, and no others.

use std::io::Write as _;

use phasegate::connect::SqlError;
use phasegate::error::RollbackCause;
use phasegate::{Failure, PhaseTx, Plan, batch::Discard};
use postgres::types::Type;

use crate::pipeline::Draft;
use crate::server::{Database, all, database, rollback};
use crate::{INSERT, inserts, live, rehearse, rehearsed};

const ONE: &str = "INSERT INTO item VALUES ($1)";
const OTHER: &str = "INSERT INTO item VALUES ($1, 'other')";

fn texts(plan: &Plan) -> Vec<String> {
    let statements = plan.phases()[0].statements().expect("they are known");
    statements.map(str::to_owned).collect()
}

#[test]
fn a_rehearsal_records_every_way_in_which_a_text_is_sent() {
    let database = database();
    database.sql(
        "CREATE FUNCTION draft(text) RETURNS void LANGUAGE sql AS 'INSERT INTO item VALUES ($1)'; \
         GRANT EXECUTE ON FUNCTION draft TO PUBLIC",
    );
    let plan = rehearsed(&database, &Draft::of(&["a"]), |_, tx| {
        tx.execute("SELECT 1", &[])?;
        tx.execute("SELECT $1::int", &[&1])?;
        tx.query(&("SELECT $1", [Type::INT8]), &[&1_i64])?;
        tx.query_one("SELECT 2", &[])?;
        tx.query_opt("SELECT 3", &[])?;
        tx.query_raw("SELECT 4", &[])?.for_each(drop);
        let prepared = tx.prepare("SELECT 5")?;
        tx.execute(&prepared, &[])?;
        tx.prepare_typed("SELECT $1", &[Type::TEXT])?;
        tx.savepoint(|tx| {
            tx.execute("SELECT 6", &[])?;
            Err::<(), _>(Failure::new("undone"))
        })
        .unwrap_err();
        tx.copy_in("COPY item (name) FROM STDIN", |copy| {
            Ok(writeln!(copy, "b")?)
        })?;
        tx.copy_out("COPY item TO STDOUT", |_| Ok(()))?;
        tx.batch(["c", "d"]).call(
            "draft",
            |name, params| params.with(name),
            |_, Discard| Ok(()),
        )?;
        tx.batch(["e", "f"])
            .execute(ONE, |name, params| params.with(name), |_, _| Ok(()))?;
        tx.execute("SELECT 1", &[])?;
        Ok(1)
    });
    assert_eq!(
        texts(&plan),
        [
            "SELECT 1",
            "SELECT $1::int",
            "SELECT $1\n-- parameters: int8",
            "SELECT 2",
            "SELECT 3",
            "SELECT 4",
            "SELECT 5",
            "SELECT $1\n-- parameters: text",
            "SELECT 6",
            "COPY item (name) FROM STDIN",
            "COPY item TO STDOUT",
            "SELECT draft($1)",
            "INSERT INTO item VALUES ($1)",
        ]
    );
    assert!(plan.shows_statements());
}

#[test]
fn the_same_statements_commit_with_other_parameters_and_in_another_order() {
    let database = database();
    let draft = Draft::of(&["a", "b"]);
    let plan = rehearsed(&database, &draft, inserts);
    live(&database, &plan, &draft, |draft, tx| {
        for row in draft.rows.iter().rev() {
            tx.execute(INSERT, &[row])?;
        }
        Ok(2)
    })
    .unwrap();
    assert_eq!(database.items(), all(&["a", "b"], "draft"));
}

/// A database with the function `draft`, and the plan of `inserts`.
fn planned() -> (Database, Plan) {
    let database = database();
    database.sql(
        "CREATE FUNCTION draft(text) RETURNS void LANGUAGE sql AS 'INSERT INTO item VALUES ($1)'; \
         GRANT EXECUTE ON FUNCTION draft TO PUBLIC",
    );
    let plan = rehearsed(&database, &Draft::of(&["a"]), inserts);
    (database, plan)
}

/// Performs the plan by `f`, which sends another statement; returns the cause.
fn refused_in(
    (database, plan): &(Database, Plan),
    f: impl Fn(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
) -> RollbackCause {
    let draft = Draft::of(&["a"]);
    let rollback = rollback(live(database, plan, &draft, |draft, tx| f(draft, tx)));
    assert_eq!(database.items(), [], "nothing of it remains");
    assert!(rollback.hint().unwrap().contains("rehearse again"));
    assert!(
        rollback.to_string().contains("that was not sent: `"),
        "{rollback}"
    );
    match rollback.cause() {
        RollbackCause::StatementNotPlanned { statement } => RollbackCause::StatementNotPlanned {
            statement: statement.clone(),
        },
        other => panic!("{other:?}"),
    }
}

/// As `refused_in`, in a database of its own; the plan is as good as before.
fn refused(f: impl Fn(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>) -> RollbackCause {
    let planned = planned();
    let cause = refused_in(&planned, f);
    let (database, plan) = planned;
    live(&database, &plan, &Draft::of(&["a"]), inserts).unwrap();
    cause
}

#[track_caller]
fn is_named(cause: &RollbackCause, text: &str) {
    match cause {
        RollbackCause::StatementNotPlanned { statement } => assert_eq!(statement, text),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_statement_is_refused_and_names_itself() {
    let cause = refused(|draft, tx| Ok(tx.execute(OTHER, &[&draft.rows[0]])?));
    is_named(&cause, OTHER);
}

#[test]
fn a_refusal_that_is_dropped_rolls_back_all_the_same() {
    let cause = refused(|draft, tx| {
        let refused = tx.execute(OTHER, &[&draft.rows[0]]);
        assert!(matches!(refused, Err(SqlError::NotPlanned { .. })));
        inserts(draft, tx)
    });
    is_named(&cause, OTHER);
}

#[test]
fn a_savepoint_does_not_undo_a_refusal() {
    let cause = refused(|draft, tx| {
        let refused = tx.savepoint(|tx| Ok(tx.execute(OTHER, &[&draft.rows[0]])?));
        assert!(refused.is_err());
        inserts(draft, tx)
    });
    is_named(&cause, OTHER);
}

#[test]
fn another_error_does_not_hide_a_refusal() {
    let cause = refused(|draft, tx| {
        let _ = tx.execute(OTHER, &[&draft.rows[0]]);
        Err(Failure::new("something else"))
    });
    is_named(&cause, OTHER);
}

/// Sends a text; returns whether that was refused.
type Way<'w> = &'w dyn Fn(&mut PhaseTx<'_>) -> bool;

#[test]
fn each_way_to_send_a_text_refuses_another_one() {
    let ways: [(&str, Way<'_>); 12] = [
        ("SELECT 1", &|tx| tx.execute("SELECT 1", &[]).is_err()),
        ("SELECT 1", &|tx| tx.query("SELECT 1", &[]).is_err()),
        ("SELECT 1", &|tx| tx.query_one("SELECT 1", &[]).is_err()),
        ("SELECT 1", &|tx| tx.query_opt("SELECT 1", &[]).is_err()),
        ("SELECT 1", &|tx| tx.query_raw("SELECT 1", &[]).is_err()),
        ("SELECT 1", &|tx| tx.prepare("SELECT 1").is_err()),
        ("SELECT $1\n-- parameters: int4", &|tx| {
            tx.prepare_typed("SELECT $1", &[Type::INT4]).is_err()
        }),
        (
            "INSERT INTO item VALUES ($1, 'draft')\n-- parameters: text",
            &|tx| tx.execute(&(INSERT, [Type::TEXT]), &[&"a"]).is_err(),
        ),
        ("COPY item FROM STDIN", &|tx| {
            tx.copy_in("COPY item FROM STDIN", |_| Ok(())).is_err()
        }),
        ("COPY item TO STDOUT", &|tx| {
            tx.copy_out("COPY item TO STDOUT", |_| Ok(())).is_err()
        }),
        ("SELECT draft($1)", &|tx| {
            tx.batch(["c", "d"])
                .call(
                    "draft",
                    |name, params| params.with(name),
                    |_, Discard| Ok(()),
                )
                .is_err()
        }),
        ("INSERT INTO item VALUES ($1)", &|tx| {
            tx.batch(["e", "f"])
                .execute(ONE, |name, params| params.with(name), |_, _| Ok(()))
                .is_err()
        }),
    ];
    let planned = planned();
    for (text, way) in ways {
        let cause = refused_in(&planned, |draft, tx| {
            assert!(way(tx), "sent: {text}");
            inserts(draft, tx)
        });
        is_named(&cause, text);
    }
}

#[test]
fn a_plan_of_a_dry_run_does_not_say_and_binds_no_statement() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = crate::server::drafting_plan(&database.target, &draft);
    assert!(plan.phases()[0].statements().is_none());
    assert!(!plan.shows_statements());
    assert!(plan.to_string().contains("statements: not known (dry run)"));
    live(&database, &plan, &draft, inserts).unwrap();
}

#[test]
fn many_statements_are_bound_by_digest() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let many = |last: u32| {
        move |draft: &Draft, tx: &mut PhaseTx<'_>| {
            for n in (0..70).chain([last]) {
                tx.execute(&*format!("SELECT {n}"), &[])?;
            }
            inserts(draft, tx)
        }
    };
    let plan = rehearsed(&database, &draft, many(70));
    let phase = &plan.phases()[0];
    assert_eq!(phase.statements().unwrap().len(), 64);
    assert_eq!(phase.statements_by_digest(), 8);
    assert!(!plan.shows_statements());
    assert!(
        plan.to_string()
            .contains("and 8 statements that this plan names by digest only")
    );
    let rollback = rollback(live(&database, &plan, &draft, many(71)));
    assert_eq!(rollback.code(), "statement_not_planned");
    live(&database, &plan, &draft, many(70)).unwrap();
}

#[test]
fn a_text_that_people_cannot_read_makes_no_plan() {
    let database = database();
    let refused = rehearse(&database, &Draft::of(&["a"]), |draft, tx| {
        tx.execute("SELECT 1 -- \u{202e}", &[])?;
        inserts(draft, tx)
    });
    let refusal = crate::server::refusal(refused);
    assert_eq!(refusal.code(), "plan_flawed");
    assert!(
        refusal.to_string().contains("people would not see"),
        "{refusal}"
    );
}

/// What the plan does not bind, as `docs/limits.md` says: the parameters. `same_program` does.
#[test]
fn other_values_of_a_planned_statement_commit() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = rehearsed(&database, &draft, inserts);
    live(&database, &plan, &draft, |_, tx| {
        Ok(tx.execute(INSERT, &[&"another"])?)
    })
    .unwrap();
    assert_eq!(database.items(), all(&["another"], "draft"));
}
