//! Tables guarded by contents: a live phase changes no column that its plan does not name, and writes the values that two
//! rehearsals have written.
#![allow(clippy::unwrap_used)]

mod against;
mod attacks;
mod demands;
mod guard;
#[path = "../interlock/hand.rs"]
#[allow(dead_code)]
mod hand;
mod honest;
#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;
mod shapes;

use phasegate::error::{ContentsDiffer, RollbackCause};
use phasegate::{
    Error, Failure, PhaseSpec, PhaseTx, Plan, RehearsalRunner, Start, Ungated, adapter_fn,
    runner::{LiveReport, RehearsalReport},
};
use serde::{Deserialize, Serialize};

use server::{Database, PIPELINE, database, rollback};

/// A phase that changes orders, and says nothing of how many.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bill;

impl PhaseSpec for Bill {
    const NAME: &'static str = "bill";
    type Gate = Ungated;
    type After = Start;
    type Output = ();
}

/// A shop: orders, which a trigger touches and another one notes down; what a phase reads; and orders without a key.
const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.currency_of (country text PRIMARY KEY, currency text);
    INSERT INTO shop.currency_of VALUES ('DE', 'EUR'), ('UK', 'GBP');
    CREATE TABLE shop.setting (discount int NOT NULL);
    INSERT INTO shop.setting VALUES (0);
    CREATE TABLE shop.orders (id int PRIMARY KEY, country text, currency text, cents int, status text,
        updated_at timestamptz NOT NULL DEFAULT 'epoch');
    INSERT INTO shop.orders SELECT i, CASE i % 2 WHEN 0 THEN 'DE' ELSE 'UK' END, 'EUR', 100 * i, 'new'
        FROM generate_series(1, 20) AS i;
    CREATE TABLE shop.noted (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, was text, sort text DEFAULT 'change');
    CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        NEW.updated_at := now();
        NEW.cents := NEW.cents - (SELECT discount FROM shop.setting);
        RETURN NEW; END $$;
    CREATE TRIGGER touch BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
    CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shop.noted (was) VALUES (OLD::text); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.note();
    SELECT phasegate.protect('shop.orders', 'contents'), phasegate.protect('shop.noted', 'contents');";

fn shop() -> Database {
    let database = database();
    database.sql(SHOP);
    database.sql(&format!(
        "GRANT USAGE ON SCHEMA shop TO {0}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop TO {0}",
        database.runner.name()
    ));
    database
}

/// What a phase does.
type Does<'a> = &'a dyn Fn(&mut PhaseTx<'_>) -> Result<(), Failure>;

fn rehearse(database: &Database, does: Does<'_>) -> Result<RehearsalReport<()>, Error> {
    RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(adapter_fn(|_: &Bill, (), tx: &mut PhaseTx<'_>| does(tx)))
        .run(|run, on| run.phase(Bill).perform(on, Ungated, Start).map(|_| ()))
}

/// The plan of a rehearsal, which binds columns; it is admitted.
fn plan_of_columns(database: &Database, does: Does<'_>) -> Plan {
    let plan = rehearse(database, does).unwrap().plan;
    database.admit(&plan);
    plan
}

/// The plan of two rehearsals, which binds values too; it is admitted.
fn plan_of_values(database: &Database, does: Does<'_>) -> Plan {
    let first = rehearse(database, does).unwrap();
    let again = rehearse(database, does).unwrap();
    let plan = first.confirmed_by(&again).unwrap().plan;
    database.admit(&plan);
    plan
}

/// Performs the plan live.
fn live(database: &Database, plan: &Plan, does: Does<'_>) -> Result<(), Error> {
    let adapter = adapter_fn(|_: &Bill, (), tx: &mut PhaseTx<'_>| does(tx));
    database
        .live_by(plan.clone(), adapter)
        .run(|run, on| run.phase(Bill).perform(on, Ungated, Start).map(|_| ()))
        .map(LiveReport::into_value)
}

/// In which columns the phase did not write what was rehearsed, a line for each; nothing of it remains.
#[track_caller]
fn differs(database: &Database, plan: &Plan, does: Does<'_>) -> String {
    let before = orders(database);
    let rolled_back = rollback(live(database, plan, does));
    assert_eq!(orders(database), before, "nothing of it remains");
    let differ: &ContentsDiffer = match rolled_back.cause() {
        RollbackCause::ContentsDiffer(differ) => differ,
        other => panic!("{other:?}"),
    };
    assert!(rolled_back.hint().unwrap().contains("Rehearse again"));
    differ.to_string()
}

/// All orders, as another session sees them.
fn orders(database: &Database) -> String {
    database
        .ask("SELECT coalesce(string_agg(o::text, E'\\n' ORDER BY o.id), '') FROM shop.orders AS o")
}
