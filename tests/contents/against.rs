//! A rehearsal against a plan: what would refuse a live run, before there is one.

use phasegate::{Failure, PhaseTx};

use crate::{plan_of_values, rehearse, shop};

fn bills(tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
    tx.execute(
        "UPDATE shop.orders AS o SET currency = c.currency FROM shop.currency_of AS c \
         WHERE c.country = o.country AND o.id <= 10",
        &[],
    )?;
    Ok(())
}

#[test]
fn a_plan_holds_on_the_rows_as_they_are_now_or_the_differences_are_named() {
    for (meanwhile, found) in [
        ("UPDATE shop.orders SET status = 'sent'", &[][..]),
        (
            "UPDATE shop.currency_of SET currency = 'XXX' WHERE country = 'UK'",
            &["bill: shop.orders updated, currency: other values than the plan binds"],
        ),
        (
            "UPDATE shop.setting SET discount = 1",
            &["bill: shop.orders updated, cents: not in the plan"],
        ),
        (
            "DELETE FROM shop.orders WHERE id = 3",
            &[
                "bill: shop.noted: planned inserted 10, measured inserted 9",
                "bill: shop.orders: planned updated 10, measured updated 9",
                "bill: shop.orders updated, currency: other values than the plan binds",
                "bill: shop.orders updated, updated_at: other values than the plan binds",
            ],
        ),
        (
            "ALTER TABLE shop.noted ALTER sort SET DEFAULT 'other'",
            &["table shop.noted has changed since the plan was made"],
        ),
        (
            "UPDATE shop.orders SET currency = 'GBP' WHERE country = 'UK'",
            &["bill: shop.orders updated, currency: other values than the plan binds"],
        ),
    ] {
        let database = shop();
        let plan = plan_of_values(&database, &bills);
        database.sql(meanwhile);
        let again = rehearse(&database, &bills).unwrap();
        assert_eq!(again.against(&plan), found, "{meanwhile}");
    }
}

#[test]
fn another_statement_is_named() {
    let database = shop();
    let plan = plan_of_values(&database, &bills);
    let again = rehearse(&database, &|tx| {
        tx.execute("SELECT 1", &[])?;
        bills(tx)
    });
    assert_eq!(
        again.unwrap().against(&plan),
        ["bill: a statement that the plan does not have: `SELECT 1`"]
    );
}
