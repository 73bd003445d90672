//! Ways to change rows of a guarded table, or of another, that the count does not see.

use crate::hand::{Attempt, INSERT, does, nothing_committed, psql, refuses, rolled_back_by};
use crate::pipeline::Draft;
use crate::server::{Database, all, database};

/// A database in which the runner may have a function of the owner's do this.
fn owners_function(before: &str, body: &str) -> Database {
    let database = database();
    database.sql(&format!(
        "{before}; INSERT INTO item VALUES ('a', 'draft'); \
         CREATE FUNCTION owners() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN {body}; END $f$"
    ));
    database
}

/// Asserts that a phase which calls the owner's function is rolled back because of this.
#[track_caller]
fn refused(database: &Database, sqlstate: &str, named: &str) {
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute("SELECT owners()", &[])?;
        Ok(1)
    });
    let rollback = crate::server::rollback(answer);
    let failure = rollback.failure().expect("a refusal");
    let said = failure.sqlstate().map(postgres::error::SqlState::code);
    assert_eq!(said, Some(sqlstate), "{rollback}");
    assert!(rollback.to_string().contains(named), "{rollback}");
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_statement_that_finishes_the_phase_changes_no_row_that_is_not_counted() {
    for statement in [
        "UPDATE item SET state = 'x' FROM (SELECT FINISH OFFSET 0) AS f",
        "DELETE FROM item WHERE FINISH IS NOT NULL",
        "INSERT INTO item SELECT 'late', FINISH",
        "WITH w AS (INSERT INTO item VALUES ('late')) SELECT FINISH",
        "MERGE INTO item USING (SELECT FINISH AS f) AS s ON false WHEN NOT MATCHED THEN INSERT VALUES ('late', f)",
    ] {
        let database = database();
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        let close = attempt.close();
        does(&mut session, &close[0]);
        does(&mut session, &close[1]);
        let finish = close[2].strip_prefix("SELECT ").unwrap();
        refuses(&mut session, &statement.replace("FINISH", finish), "ZG001");
        drop(session);
        nothing_committed(&database);
    }
}

#[test]
fn a_row_that_is_written_through_a_table_without_a_guard_is_not_taken_for_unchanged() {
    let through = "UPDATE public.base SET state = 'x'";
    let database = owners_function(
        "CREATE TABLE base (name text, state text); ALTER TABLE item INHERIT base",
        through,
    );
    refused(&database, "ZG025", "public.item");

    // Nor where the guard was put on it as on a child of another.
    let database = owners_function(
        "CREATE TABLE base (state text); CREATE TABLE child (state text) INHERITS (item, base); \
         SELECT phasegate.protect('item'); INSERT INTO child VALUES ('c', 'draft')",
        through,
    );
    let answer = database.draft_by(&Draft::of(&["a"]).and("public.child"), |_, tx| {
        tx.execute("SELECT owners()", &[])?;
        Ok(1)
    });
    let rollback = crate::server::rollback(answer);
    assert!(rollback.to_string().contains("public.child"), "{rollback}");

    // And whoever has its parent put under guard may go on.
    database.sql("SELECT phasegate.protect('base')");
    let answer = database.draft_by(
        &Draft::of(&["b"]).and("public.child").and("public.base"),
        |_, tx| {
            tx.execute("SELECT owners()", &[])?;
            Ok(1)
        },
    );
    assert_eq!(answer.unwrap(), 1);
}

#[test]
fn a_function_that_takes_the_counting_away_for_a_while_is_refused_by_name() {
    for body in [
        "ALTER TABLE public.item DISABLE TRIGGER phasegate_guard; UPDATE public.item SET state = 'x'; \
         ALTER TABLE public.item ENABLE ALWAYS TRIGGER phasegate_guard",
        "ALTER TABLE public.item DISABLE TRIGGER phasegate_guard; UPDATE public.item SET state = 'x'; \
         PERFORM phasegate.protect('public.item')",
    ] {
        refused(
            &owners_function("SELECT 1", body),
            "ZG006",
            "the table public.item was altered",
        );
    }
}

#[test]
fn a_cursor_over_a_statement_that_writes_is_counted_or_refused_when_it_is_fetched() {
    let database = database();
    let opens = "DO $$ DECLARE c refcursor := 'c'; BEGIN \
                 OPEN c FOR EXECUTE 'INSERT INTO item VALUES (''late'') RETURNING name'; END $$";
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    for closing in &attempt.close()[..2] {
        does(&mut session, closing);
    }
    does(&mut session, opens);
    does(&mut session, &attempt.close()[2]);
    refuses(&mut session, "FETCH ALL FROM c", "ZG007");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_foreign_table_is_not_written_in_a_phase() {
    let database = database();
    let there: bool = database
        .ask("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw')");
    if !there {
        #[allow(clippy::print_stdout)]
        {
            println!("not proved here: this server has no extension postgres_fdw");
        }
        return;
    }
    let (runner, far) = (database.runner.name(), database.role("far"));
    let far = far.name();
    database.sql(&format!(
        "CREATE EXTENSION postgres_fdw; CREATE TABLE near (n int); GRANT ALL ON near TO {far}; \
         DO $$ BEGIN EXECUTE format('CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw \
             OPTIONS (host %L, port %L, dbname %L)', \
             trim('\"' FROM split_part(current_setting('unix_socket_directories'), ',', 1)), \
             current_setting('port'), current_database()); END $$; \
         CREATE USER MAPPING FOR PUBLIC SERVER other OPTIONS (user '{far}', password_required 'false'); \
         CREATE FOREIGN TABLE far (n int) SERVER other OPTIONS (table_name 'near'); \
         GRANT SELECT, INSERT ON far TO {runner}"
    ));
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        assert_eq!(tx.execute("INSERT INTO far VALUES (1), (2)", &[])?, 2);
        Ok(1)
    });
    let rollback = rolled_back_by(&database, answer, "ZG006");
    assert!(rollback.to_string().contains("far"), "{rollback}");
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM near"), 0);

    // What it has is there to be read.
    let answer = database.draft_by(&Draft::of(&["b"]), |_, tx| {
        tx.execute("SELECT * FROM far", &[])?;
        Ok(1)
    });
    assert_eq!(answer.unwrap(), 1);
}

#[test]
fn what_another_transaction_of_the_same_number_has_left_is_not_counted() {
    let database = database();
    let left = "INSERT INTO phasegate.counted \
                SELECT (pg_current_xact_id()::text::bigint + g)::text::xid8, 'item'::regclass, 7, 7, 7 \
                FROM generate_series(1, 2000) AS g";
    let leave = |database: &Database| database.sql(left);
    let draft = Draft::of(&["a"]);
    let answer = database.draft_by(&draft, |_, tx| {
        leave(&database); // ahead of this one
        tx.execute("SELECT 1", &[])?;
        Ok(1)
    });
    assert_eq!(answer.unwrap(), 1);
    let answer = database.draft_by(&Draft::of(&["b"]), |_, tx| {
        let own: i64 = database.ask("SELECT min(xid::text::bigint) FROM phasegate.counted");
        let xid: String = tx
            .query_one("SELECT pg_current_xact_id()::text", &[])?
            .get(0);
        assert!(
            xid.parse::<i64>().unwrap() >= own,
            "the numbers were passed"
        );
        tx.execute(INSERT, &[])?;
        Ok(1)
    });
    assert_eq!(answer.unwrap(), 1);
    let seen: String = database.ask(
        "SELECT body::jsonb -> 'effects' ->> 'public.item' FROM phasegate.journal \
                      WHERE body::jsonb -> 'effects' <> '{}'",
    );
    assert_eq!(seen, r#"{"deleted": 0, "updated": 0, "inserted": 1}"#);
}
