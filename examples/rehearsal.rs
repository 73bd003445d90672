//! A rehearsal, and the live run of the plan that it leaves: `cargo run --example rehearsal`.
//!
//! A rehearsal performs the live adapter in a transaction that is always rolled back. The server
//! counts the rows, so that no simulator has to predict them: here a trigger writes an audit table
//! that the adapter does not mention.
#![allow(clippy::print_stdout)]

use phasegate::prelude::*;
use phasegate::testing::TestPostgres;
use phasegate::{approval::UnsignedApprovals, connect::PostgresConnector, switch::LeaseSwitch};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

/// Moves the stock of one warehouse to another.
#[derive(Serialize, Deserialize)]
struct MoveStock {
    from: String,
    to: String,
}

impl PhaseSpec for MoveStock {
    const NAME: &'static str = "move_stock";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;

    fn summary(&self) -> String {
        format!("moves the stock of {} to {}", self.from, self.to)
    }
}

/// Performs the phase, live and in a rehearsal.
struct Warehouse;

impl Execute<MoveStock> for Warehouse {
    fn execute(&mut self, spec: &MoveStock, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let update = "UPDATE stock SET warehouse = $2 WHERE warehouse = $1";
        Ok(tx.execute(update, &[&spec.from, &spec.to])?)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, MoveStock>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<u64, Error> {
    let spec = MoveStock {
        from: "north".to_owned(),
        to: "south".to_owned(),
    };
    Ok(run.phase(spec).perform(on, Ungated, Start)?.into_output())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestPostgres::find_or_start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("stock")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE stock (article text PRIMARY KEY, warehouse text);
         CREATE TABLE stock_audit (article text, moved_from text, moved_to text);
         CREATE FUNCTION audit_stock() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
           INSERT INTO public.stock_audit VALUES (OLD.article, OLD.warehouse, NEW.warehouse);
           RETURN NULL;
         END $$;
         CREATE TRIGGER audit AFTER UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION audit_stock();
         INSERT INTO stock VALUES ('bolt', 'north'), ('nut', 'north'), ('screw', 'south');
         SELECT phasegate.protect('stock'), phasegate.protect('stock_audit');
         GRANT SELECT, UPDATE ON stock TO {}",
        runner.name()
    ))?;
    let connector = || PostgresConnector::no_tls(runner.config());

    // No plan, no approval and no simulator is needed; nothing is committed.
    let rehearsal = RehearsalRunner::new("stock")
        .author("grace")
        .connector(connector())
        .adapter(Warehouse)
        .run(pipeline)?;
    println!("{rehearsal}\n");
    let effects = &rehearsal.phases[0].effects;
    assert_eq!(effects.of("public.stock").updated, 2);
    assert_eq!(
        effects.of("public.stock_audit").inserted,
        2,
        "by the trigger"
    );
    let count = "SELECT count(*) FROM stock_audit";
    let audited: i64 = admin.query_one(count, &[])?.try_get(0)?;
    assert_eq!(audited, 0, "everything was rolled back");

    // The plan of a rehearsal has the measured effects, and is approved and run as any other.
    let plan = rehearsal.plan;
    println!("{plan}");
    let _ = operator.admit_plan(&plan)?;
    let ran = LiveRunner::new("stock")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(connector()))
        .authority(UnsignedApprovals::new())
        .connector(connector())
        .adapter(Warehouse)
        .run(pipeline)?;
    println!("{ran}");
    let audited: i64 = admin.query_one(count, &[])?.try_get(0)?;
    assert_eq!(audited, 2);
    Ok(())
}
