//! The guard itself: how a table gets it, when it counts no more, and that no code of the table's owner runs in it.

use phasegate::error::RefusalReason;
use postgres::error::SqlState;

use crate::server::{Database, refusal};
use crate::{live, plan_of_columns, plan_of_values, rehearse, shop};

fn bills(tx: &mut phasegate::PhaseTx<'_>) -> Result<(), phasegate::Failure> {
    tx.execute("UPDATE shop.orders SET cents = 1 WHERE id < 5", &[])?;
    Ok(())
}

/// How many functions there are that read the contents of a table.
fn functions(database: &Database) -> i64 {
    database.ask("SELECT count(*) FROM pg_proc WHERE proname LIKE 'contents\\_of\\_%'")
}

#[test]
fn a_plan_of_contents_asks_for_the_guard() {
    for gone in [
        "SELECT phasegate.protect('shop.orders', 'statements')",
        "SELECT phasegate.protect('shop.orders', 'counters')",
        "ALTER TABLE shop.orders DISABLE TRIGGER phasegate_contents_updated",
        "ALTER TABLE shop.orders ENABLE TRIGGER phasegate_contents_updated",
        "DROP TRIGGER phasegate_contents_inserted ON shop.orders",
        "ALTER TABLE shop.orders RENAME TO old; CREATE TABLE shop.orders (LIKE shop.old INCLUDING ALL); \
         SELECT phasegate.protect('shop.orders', 'statements')",
    ] {
        let database = shop();
        let plan = plan_of_values(&database, &bills);
        database.sql(gone);
        let refused = refusal(live(&database, &plan, &bills));
        assert_eq!(refused.phase(), Some("bill"), "{gone}: {refused}");
        let other = database.ask::<i64>("SELECT count(*) FROM shop.orders WHERE cents = 1");
        assert_eq!(other, 0, "{gone}");
    }
}

/// A column that the guard does not know would be written unseen.
#[test]
fn a_table_whose_columns_have_changed_is_protected_again() {
    for changed in [
        "ALTER TABLE shop.orders ADD more text",
        "ALTER TABLE shop.orders DROP status",
        "ALTER TABLE shop.orders RENAME status TO state",
        "ALTER TABLE shop.orders DROP CONSTRAINT orders_pkey",
    ] {
        let database = shop();
        let plan = plan_of_columns(&database, &bills);
        database.sql(changed);
        let means = refusal(live(&database, &plan, &bills));
        assert!(
            matches!(means.reason(), RefusalReason::MeansChanged { .. }),
            "{means}"
        );
        let again = rehearse(&database, &bills).unwrap_err();
        let said = format!("{again} {}", again.hint().unwrap_or_default());
        assert!(said.contains("phasegate.protect"), "{changed}: {said}");
        database.sql("SELECT phasegate.protect('shop.orders')");
        let plan = plan_of_columns(&database, &bills);
        live(&database, &plan, &bills).unwrap();
    }
}

#[test]
fn a_guard_of_another_kind_leaves_nothing_behind() {
    let database = shop();
    assert_eq!(functions(&database), 2);
    database.sql("SELECT phasegate.protect('shop.orders', 'counters')");
    assert_eq!(functions(&database), 1);
    database.sql("SELECT phasegate.unprotect('shop.noted')");
    assert_eq!(functions(&database), 0);
    let triggers: i64 = database
        .ask("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'phasegate\\_contents\\_%'");
    assert_eq!(triggers, 0);
    database.sql("SELECT phasegate.protect('shop.orders', 'contents')");
    database.sql("SELECT phasegate.protect('shop.orders', 'contents')");
    assert_eq!(functions(&database), 1);
}

#[test]
fn only_the_tables_owner_makes_its_function() {
    let database = shop();
    let mut runner = database.runner.config().connect(postgres::NoTls).unwrap();
    for statement in [
        "SELECT phasegate.make_contents_function('shop.orders')",
        "SELECT phasegate.protect('shop.orders', 'contents')",
        "INSERT INTO phasegate.changed_column VALUES ('1', now(), 1, 'updated', false, 'x', 1, 0, 0, 0)",
        "DELETE FROM phasegate.changed_column",
    ] {
        let refused = runner
            .batch_execute(statement)
            .map_err(|error| error.code().cloned());
        assert_eq!(
            refused,
            Err(Some(SqlState::INSUFFICIENT_PRIVILEGE)),
            "{statement}"
        );
    }
}

#[test]
fn an_owner_that_is_no_superuser_guards_its_table() {
    let database = shop();
    let owner = database.role("owner");
    database.sql(&format!(
        "GRANT CREATE, USAGE ON SCHEMA shop TO {0}; CREATE TABLE shop.mine (n int PRIMARY KEY); \
         ALTER TABLE shop.mine OWNER TO {0}",
        owner.name()
    ));
    let mut owner = owner.config().connect(postgres::NoTls).unwrap();
    for statement in [
        "SELECT phasegate.protect('shop.mine', 'contents')",
        "INSERT INTO shop.mine VALUES (1)",
        "SELECT phasegate.protect('shop.mine')",
        "SELECT phasegate.unprotect('shop.mine')",
    ] {
        owner.batch_execute(statement).unwrap();
    }
    assert_eq!(functions(&database), 2);
}

/// A table whose trigger calls the function of another table gets one of its own.
#[test]
fn the_function_of_another_table_stays_as_it_is() {
    let database = shop();
    let plan = plan_of_columns(&database, &bills);
    database.sql(
        "CREATE TABLE shop.mine (n int); \
         DO $$ DECLARE v text := (SELECT tgfoid::regproc FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass \
                                  AND tgname = 'phasegate_contents_deleted'); BEGIN \
           EXECUTE 'CREATE TRIGGER phasegate_contents_deleted AFTER DELETE ON shop.mine \
                    REFERENCING OLD TABLE AS phasegate_rows FOR EACH STATEMENT EXECUTE FUNCTION ' || v || '()'; END $$; \
         SELECT phasegate.protect('shop.mine', 'contents')",
    );
    assert_eq!(functions(&database), 3);
    live(&database, &plan, &bills).unwrap();
}

/// What the owner of a table has made for its types is not called as the owner of the schema.
#[test]
fn no_function_of_a_tables_owner_runs_in_the_guard() {
    let database = shop();
    database.sql(&format!(
        "CREATE TYPE shop.pair AS (a int, b int); \
         CREATE TABLE shop.called (by name); GRANT INSERT ON shop.called TO PUBLIC; \
         CREATE FUNCTION shop.as_text(shop.pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO shop.called VALUES (current_user); RETURN 'x'; END $$; \
         CREATE CAST (shop.pair AS text) WITH FUNCTION shop.as_text(shop.pair) AS IMPLICIT; \
         CREATE FUNCTION shop.is_equal(shop.pair, shop.pair) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO shop.called VALUES (current_user); RETURN false; END $$; \
         CREATE OPERATOR shop.= (LEFTARG = shop.pair, RIGHTARG = shop.pair, FUNCTION = shop.is_equal); \
         CREATE OPERATOR shop.<> (LEFTARG = shop.pair, RIGHTARG = shop.pair, FUNCTION = shop.is_equal); \
         CREATE TABLE shop.held (id int PRIMARY KEY, \"p'q\" shop.pair, \"50%s \"\"$body$\" int); \
         SELECT phasegate.protect('shop.held', 'contents'); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON shop.held TO {0}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA shop TO PUBLIC",
        database.runner.name()
    ));
    let does = |tx: &mut phasegate::PhaseTx<'_>| {
        tx.execute(
            "INSERT INTO shop.held VALUES (1, ROW(1, 2)), (2, NULL)",
            &[],
        )?;
        tx.execute(
            "UPDATE shop.held SET \"p'q\" = ROW(3, 4), \"50%s \"\"$body$\" = 7",
            &[],
        )?;
        tx.execute("DELETE FROM shop.held WHERE id = 2", &[])?;
        Ok(())
    };
    let plan = plan_of_values(&database, &does);
    live(&database, &plan, &does).unwrap();
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM shop.called"), 0);
}

/// What the phase could do to the record of its own changes.
#[test]
fn a_phase_cannot_write_the_record_of_its_changes() {
    let database = shop();
    for statement in [
        "DELETE FROM phasegate.changed_column",
        "UPDATE phasegate.changed_column SET digest = 0",
        "TRUNCATE phasegate.changed_column",
        "SELECT phasegate.ensure_planned_contents('', 1)",
    ] {
        let failed = rehearse(&database, &|tx| {
            tx.execute(statement, &[])?;
            Ok(())
        });
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("permission denied"),
            "{statement}: {failed}"
        );
    }
}

/// No transition table has the rows that it removes.
#[test]
fn a_truncated_table_is_refused_as_ever() {
    let database = shop();
    database.sql(&format!(
        "GRANT TRUNCATE ON shop.orders TO {}",
        database.runner.name()
    ));
    let refused = rehearse(&database, &|tx| {
        tx.execute("TRUNCATE shop.orders", &[])?;
        Ok(())
    });
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains("shop.orders") && said.contains("TRUNCATE"),
        "{said}"
    );
}
