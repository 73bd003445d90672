//! What is done after the approval, with equal counts; each with what refuses it.

use phasegate::Failure;
use phasegate::PhaseTx;
use phasegate::error::{RefusalReason, RollbackCause};

use crate::hand::{Attempt, does, psql, refuses};
use crate::server::{refusal, rollback};
use crate::{differs, live, orders, plan_of_columns, plan_of_values, shop};

const SET: &str = "UPDATE shop.orders AS o SET currency = c.currency FROM shop.currency_of AS c \
                   WHERE c.country = o.country AND o.id BETWEEN $1 AND $2";

/// Sets the currency of the orders by what a table says.
fn bills(tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    tx.execute(SET, &[&1, &10])?;
    Ok(())
}

#[test]
fn what_was_rehearsed_commits() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    live(&database, &plan, &bills).unwrap();
    let pounds: i64 =
        database.ask("SELECT count(*) FROM shop.orders WHERE currency = 'GBP' AND cents > 0");
    assert_eq!(pounds, 5);
}

#[test]
fn a_program_with_other_values_sends_another_statement() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    let swapped = rollback(live(&database, &plan, &|tx| {
        tx.execute(
            "UPDATE shop.orders SET currency = 'XXX', cents = 0 WHERE id <= 10",
            &[],
        )?;
        Ok(())
    }));
    let not_sent = matches!(swapped.cause(), RollbackCause::StatementNotPlanned { .. });
    assert!(not_sent, "{swapped}");
}

#[test]
fn other_parameters_of_the_same_statement_are_other_values() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    let other_rows = differs(&database, &plan, &|tx| {
        tx.execute(SET, &[&11, &20])?;
        Ok(())
    });
    assert_eq!(
        other_rows,
        "  shop.orders updated, currency: other values than were rehearsed\n  \
         shop.orders updated, updated_at: other values than were rehearsed"
    );
}

#[test]
fn a_changed_trigger_function_is_refused_by_its_definition() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    database.sql(
        "CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.cents := 0; RETURN NEW; END $$",
    );
    let refused = refusal(live(&database, &plan, &bills));
    match refused.reason() {
        RefusalReason::MeansChanged { objects } => {
            assert_eq!(objects[..], ["function shop.touch()"]);
        }
        other => panic!("{other:?}"),
    }
}

/// The function is as it was; what it reads is not.
#[test]
fn a_trigger_that_writes_another_column_is_refused_without_values_too() {
    for plan in [plan_of_columns, plan_of_values] {
        let database = shop();
        let plan = plan(&database, &bills);
        database.sql("UPDATE shop.setting SET discount = 7");
        assert_eq!(
            differs(&database, &plan, &bills),
            "  shop.orders updated, cents: not in the plan, and 10 rows got another value"
        );
    }
}

#[test]
fn a_changed_table_that_the_phase_reads_gives_other_values() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    database.sql("UPDATE shop.currency_of SET currency = 'XXX' WHERE country = 'UK'");
    assert_eq!(
        differs(&database, &plan, &bills),
        "  shop.orders updated, currency: other values than were rehearsed"
    );
}

#[test]
fn a_changed_default_of_an_audit_table_is_refused_by_its_definition() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    database.sql("ALTER TABLE shop.noted ALTER sort SET DEFAULT 'nothing'");
    let refused = refusal(live(&database, &plan, &bills));
    assert!(
        matches!(refused.reason(), RefusalReason::MeansChanged { .. }),
        "{refused}"
    );
}

/// With the runner's password and without the engine: what the approved phase writes is compared by the server.
#[test]
fn values_that_a_hand_writes_are_refused_by_the_server() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    let before = orders(&database);
    for statement in [
        "UPDATE shop.orders SET currency = 'XXX' WHERE id <= 10",
        "UPDATE shop.orders SET currency = 'GBP', cents = 0 WHERE id <= 10",
        "UPDATE shop.orders SET currency = 'GBP' WHERE id <= 10 AND id % 2 = 0; \
         UPDATE shop.orders SET currency = 'EUR' WHERE id <= 10 AND id % 2 = 1",
    ] {
        let attempt = Attempt::of(&plan, 1);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        session.batch_execute(statement).unwrap();
        let close = attempt.close();
        does(&mut session, &close[0]);
        does(&mut session, &close[1]);
        refuses(&mut session, &close[2], "ZG027");
        drop(session);
        assert_eq!(orders(&database), before);
    }
}

/// Writes that the record of changes does not see are writes outside of the phase, to the guard.
#[test]
fn a_hand_that_hides_the_phase_from_the_guard_writes_nothing() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    let before = orders(&database);
    for hidden in [
        "SET LOCAL phasegate.open_here = ''",
        "SET phasegate.open_here = 'no'",
        "RESET ALL",
        "DISCARD SEQUENCES",
        "SET LOCAL session_replication_role = 'replica'",
        "ALTER TABLE shop.orders DISABLE TRIGGER ALL",
    ] {
        let attempt = Attempt::of(&plan, 1);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        // The server may refuse any of them, and then all that follows.
        let update = "UPDATE shop.orders SET currency = 'XXX', cents = 0 WHERE id <= 10";
        for one in [hidden, update, "SET LOCAL phasegate.open_here = 'yes'"] {
            let _ = session.batch_execute(one);
        }
        for one in attempt.close() {
            let _ = session.batch_execute(&one);
        }
        drop(session);
        assert_eq!(orders(&database), before, "{hidden}");
    }
}
