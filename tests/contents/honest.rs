//! Runs that do what was approved commit beside other sessions.

use std::sync::atomic::{AtomicBool, Ordering};

use phasegate::plan::PlannedContents;
use phasegate::{
    Error, Execute, Failure, Mode, Perform, PhaseSpec, PhaseTx, RehearsalRunner, Run, Start,
    Switch, Ungated,
};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

use crate::server::{Database, PIPELINE};
use crate::{Bill, differs, live, plan_of_columns, plan_of_values, rehearse, shop};

fn bills(tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    tx.execute(
        "UPDATE shop.orders SET currency = 'GBP' WHERE country = 'UK'",
        &[],
    )?;
    Ok(())
}

/// The trigger sets `updated_at` to `now()`, and writes the old row with it into the audit table.
#[test]
fn other_columns_of_the_same_rows_may_change_meanwhile() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    database.sql("UPDATE shop.orders SET status = 'sent', cents = cents + 1");
    live(&database, &plan, &bills).unwrap();
}

#[test]
fn the_same_column_of_the_same_rows_may_not() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    database.sql("UPDATE shop.orders SET currency = 'FRF' WHERE id = 1");
    assert_eq!(
        differs(&database, &plan, &bills),
        "  shop.orders updated, currency: other values than were rehearsed"
    );
}

/// A plan of one rehearsal names columns, and binds no value.
#[test]
fn without_a_second_rehearsal_no_value_is_bound() {
    let database = shop();
    let plan = plan_of_columns(&database, &bills);
    let contents = plan.phases()[0].contents();
    assert!(!contents.values().any(PlannedContents::binds_values));
    assert_eq!(contents.len(), 2);
    database.sql("UPDATE shop.orders SET currency = 'FRF' WHERE id = 1");
    live(&database, &plan, &bills).unwrap();
}

/// A row that has the value already does not get another one: fewer columns than the plan names are no difference.
#[test]
fn a_column_that_needs_no_change_any_more_is_no_difference_where_no_value_is_bound() {
    let database = shop();
    let plan = plan_of_columns(&database, &bills);
    database.sql("UPDATE shop.orders SET currency = 'GBP'");
    live(&database, &plan, &bills).unwrap();
}

#[test]
fn what_two_rehearsals_write_differently_is_named_and_not_bound() {
    let database = shop();
    let does = |tx: &mut PhaseTx<'_>| {
        tx.execute(
            "UPDATE shop.orders SET cents = 1, status = md5(random()::text) WHERE id < 5",
            &[],
        )?;
        Ok(())
    };
    let plan = plan_of_values(&database, &does);
    let text = plan.to_string();
    assert!(
        text.contains(
            "updated: cents, updated_at, to the rehearsed values; status, values not bound"
        ),
        "{text}"
    );
    live(&database, &plan, &does).unwrap();
}

#[test]
fn two_rehearsals_that_did_not_do_the_same_confirm_nothing() {
    let database = shop();
    let first = rehearse(&database, &bills).unwrap();
    database.sql("DELETE FROM shop.orders WHERE id = 1");
    let again = rehearse(&database, &bills).unwrap();
    let refused = first.confirmed_by(&again).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("rows of shop.orders"), "{said}");
    assert!(refused.hint().unwrap().contains("Rehearse while no other"));
}

/// Ends the application's loop, also where the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Each round, the application changes orders before, between and after the rehearsals and the run. Those that have
/// nothing to do with what the phase writes never refuse it.
#[test]
fn beside_an_application_that_writes_other_columns_every_run_commits() {
    let database = shop();
    database.sql(
        "CREATE ROLE of_application LOGIN; GRANT USAGE ON SCHEMA shop TO of_application; \
                  GRANT ALL ON ALL TABLES IN SCHEMA shop TO of_application",
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut application = database.admin_config();
        application.user("of_application");
        let stop = &stop;
        let writes = scope.spawn(move || {
            let mut client = application.connect(NoTls).unwrap();
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                client
                    .execute(
                        "UPDATE shop.orders SET status = 's' || $1 WHERE id = 1 + $1 % 20",
                        &[&n],
                    )
                    .unwrap();
            }
            n
        });
        let _end = Stops(stop);
        for round in 0..10 {
            let does = move |tx: &mut PhaseTx<'_>| {
                let currency = format!("C{round}");
                tx.execute(
                    "UPDATE shop.orders SET currency = $1 WHERE country = 'UK'",
                    &[&currency],
                )?;
                Ok(())
            };
            let plan = plan_of_values(&database, &does);
            live(&database, &plan, &does).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writes.join().unwrap() > 0);
    });
    database.sql("DROP OWNED BY of_application; DROP ROLE of_application");
}

/// Sends what was billed, and comes after it. It says that other sessions may change the number of its rows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Send {
    tolerance: u64,
}

impl PhaseSpec for Send {
    const NAME: &'static str = "send";
    type Gate = Ungated;
    type After = Bill;
    type Output = ();

    fn tolerance(&self, _: &str) -> u64 {
        self.tolerance
    }
}

struct Both;

impl Execute<Bill> for Both {
    fn execute(&mut self, _: &Bill, (): (), tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
        tx.execute("UPDATE shop.orders SET currency = 'GBP' WHERE id < 5", &[])?;
        Ok(())
    }
}

impl Execute<Send> for Both {
    fn execute(&mut self, _: &Send, (): &(), tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
        tx.execute("UPDATE shop.orders SET status = 'sent' WHERE id < 9", &[])?;
        Ok(())
    }
}

fn both<'run, M: Mode, W: Perform<M, Bill> + Perform<M, Send>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    send: Send,
) -> Result<(), Error> {
    let billed = run.phase(Bill).perform(on, Ungated, Start)?;
    run.phase(send).perform(on, Ungated, &billed)?;
    Ok(())
}

/// The plan of two rehearsals of both phases, performed live; returns the text of the second phase in the plan.
fn both_live(database: &Database, send: Send) -> String {
    let rehearse = || {
        RehearsalRunner::new(PIPELINE)
            .connector(database.connector())
            .adapter(Both)
            .run(|run, on| both(run, on, send))
    };
    let first = rehearse().unwrap();
    let plan = first.confirmed_by(&rehearse().unwrap()).unwrap().plan;
    database.admit(&plan);
    let ran = database.live_by(plan.clone(), Both);
    ran.run(|run, on| both(run, on, send)).unwrap().into_value();
    plan.phases()[1].contents()["shop.orders"].to_string()
}

/// Both phases set `updated_at` of the same rows. In a rehearsal, whose phases share one `now()`, the second changes nothing
/// there; live, it does.
#[test]
fn a_time_that_two_phases_write_is_free_in_the_second() {
    assert_eq!(
        both_live(&shop(), Send { tolerance: 0 }),
        "updated: status, to the rehearsed values; updated_at, values not bound"
    );
}

#[test]
fn with_a_tolerance_no_value_is_bound() {
    assert_eq!(
        both_live(&shop(), Send { tolerance: 1 }),
        "updated: status, updated_at, values not bound"
    );
}
