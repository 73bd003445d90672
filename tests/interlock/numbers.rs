//! Attacks on the numbers of statements, by which a phase knows that its counters are exact.

use std::sync::{Arc, Mutex};

use phasegate::schema::Guard;
use postgres::{Client, NoTls};

use crate::hand::{Attempt, INSERT, does, held, held_by_hand, nothing_committed, psql, refuses};
use crate::pipeline::Draft;
use crate::powers::refused;
use crate::server::{Database, database};
use crate::undone::{by_hand, by_hand_on};

#[allow(clippy::unnecessary_wraps)] // compared with what may be refused
fn ok(rows: &str) -> Result<String, String> {
    Ok(format!("public.item {rows}"))
}

/// A function by which a statement performs another one.
const SAYS: &str = "CREATE FUNCTION says(sql text) RETURNS text LANGUAGE plpgsql AS \
    $$ BEGIN EXECUTE sql; RETURN clock_timestamp()::text || random(); END $$";

#[test]
fn settings_that_are_reset_are_missed() {
    let database = database();
    database.sql(SAYS);
    for messages in [
        vec![INSERT, "RESET ALL"],
        vec![INSERT, "SET phasegate.open_here = ''"],
        vec![INSERT, "SET LOCAL phasegate.open_here = 'no'"],
        vec!["INSERT INTO item SELECT says('RESET ALL')"],
        vec![INSERT, "RESET ALL", "/* fails */ DELETE FROM item"],
    ] {
        let answer = by_hand(&database, &messages);
        assert!(
            matches!(
                answer.as_ref().map_err(String::as_str),
                Err("ZG006" | "25P02")
            ),
            "{messages:?}: {answer:?}"
        );
    }
    let back = ["SAVEPOINT a", "RESET ALL", "ROLLBACK TO a", INSERT];
    assert_eq!(by_hand(&database, &back), ok("+1 ~0 -0"));
}

#[test]
fn sequences_that_are_discarded_are_missed() {
    let database = database();
    let answer = by_hand(&database, &[INSERT, "DISCARD SEQUENCES"]);
    assert_eq!(answer, Err("55000".to_owned()));
}

#[test]
fn a_number_that_no_statement_has_counts_for_nothing() {
    let database = database();
    let number = "SELECT phasegate.begin_statement('item'::regclass, 'INSERT', true), \
                         phasegate.begin_statement(1, 'DELETE', true), phasegate.begin_statement(1, 'UPDATE', false)";
    assert_eq!(by_hand(&database, &[number, INSERT]), ok("+1 ~0 -0"));
    let undone = ["DELETE FROM item", "SAVEPOINT a", number, "ROLLBACK TO a"];
    assert!(by_hand(&database, &undone).is_err());
    // Outside of a phase it opens nothing.
    let mut session = psql(&database);
    refuses(&mut session, INSERT, "ZG007");
    does(&mut session, number);
    refuses(&mut session, INSERT, "ZG007");
}

#[test]
fn no_list_of_settings_has_the_name() {
    let database = database();
    database.sql(&format!(
        "GRANT pg_read_all_settings TO {}",
        database.runner.name()
    ));
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    let secret: i64 = database.ask("SELECT last_value FROM phasegate.secret");
    for list in [
        "SELECT s::text FROM pg_settings AS s",
        "SELECT s::text FROM pg_show_all_settings() AS s",
        "SELECT s::text FROM pg_db_role_setting AS s",
    ] {
        for row in session.query(list, &[]).unwrap() {
            assert!(
                !row.get::<_, String>(0).contains(&secret.to_string()),
                "{list}"
            );
        }
    }
    for message in session.simple_query("SHOW ALL").unwrap() {
        assert!(!format!("{message:?}").contains(&secret.to_string()));
    }
}

/// A plan that the server prints has the values of variables in it, as their bytes.
#[test]
fn no_plan_that_the_server_prints_has_the_name() {
    let database = database();
    database.sql("CREATE TABLE part (k int) PARTITION BY LIST (k); CREATE TABLE part_0 PARTITION OF part DEFAULT; \
                  SELECT phasegate.protect('part')");
    let attempt = Attempt::admitted(&database);
    let said = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&said);
    let mut config = database.runner.config().clone();
    config.notice_callback(move |notice| {
        let mut kept = kept.lock().unwrap();
        kept.push_str(notice.message());
        kept.push_str(notice.detail().unwrap_or_default());
    });
    let mut session: Client = config.connect(NoTls).unwrap();
    for sql in [
        "SET client_min_messages = log",
        "SET debug_print_plan = on",
        "SET debug_pretty_print = off",
        &attempt.begin(),
        INSERT,
        "SELECT phasegate.before_savepoint(); SAVEPOINT a",
        "DELETE FROM item",
        "ROLLBACK TO SAVEPOINT a; SELECT phasegate.after_rollback()",
        INSERT_TWO,
        "SELECT phasegate.before_savepoint(); SAVEPOINT a",
        &attempt.seal(),
        "SET CONSTRAINTS ALL IMMEDIATE",
        &crate::hand::finish("1"),
    ] {
        session.simple_query(sql).unwrap();
    }
    let secret: i64 = database.ask("SELECT last_value FROM phasegate.secret");
    // It is printed in lines.
    let said = said.lock().unwrap();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let bytes = |bytes: &[u8]| {
        // As `outDatum` has them: signed.
        let bytes: Vec<_> = bytes
            .iter()
            .map(|byte| byte.cast_signed().to_string())
            .collect();
        bytes.join(" ")
    };
    let literal = bytes(b"phasegate.number");
    assert!(said.contains(&literal), "plans are printed");
    assert!(!said.contains(&secret.to_string()));
    assert!(!said.contains(&bytes(secret.to_string().as_bytes())));
    assert!(!said.contains(&bytes(&secret.to_le_bytes())));
}

const INSERT_TWO: &str = "INSERT INTO item VALUES ('two', 'draft')";

#[test]
fn a_phase_is_finished_by_its_closing_message_and_not_within_a_statement() {
    let database = database();
    database.sql(SAYS);
    let finish = crate::hand::finish("1").replace('\'', "''");
    let early = "SET CONSTRAINTS ALL IMMEDIATE";
    for statement in [
        format!("INSERT INTO item SELECT says('{finish}')"),
        format!("INSERT INTO item SELECT says('{finish}') || says('{early}')"),
        format!(
            "INSERT INTO item SELECT phasegate.perform_row('SELECT length(({finish}))', VARIADIC '{{}}'::text[])::text || \
             phasegate.perform_row('{early}', VARIADIC '{{}}'::text[])::text"
        ),
        format!("DO $$ BEGIN PERFORM says('{finish}'); END $$"),
        format!("DELETE FROM item WHERE says('{finish}') <> says('{early}')"),
    ] {
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        for before in [&attempt.begin(), INSERT, &attempt.seal(), early] {
            does(&mut session, before);
        }
        refuses(&mut session, &statement, "ZG001");
    }
    nothing_committed(&database);
}

#[test]
fn a_function_that_stops_the_counting_is_named_before_a_phase_is_opened() {
    let database = database();
    let sql = "CREATE FUNCTION off() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET track_counts = off \
               AS $$ BEGIN RETURN (SELECT count(*) FROM public.item); END $$";
    let what = "the function public.off() sets track_counts, and rows that are written then are not counted";
    let remedies = refused(&database, sql, &[what]);
    assert_eq!(remedies, ["ALTER ROUTINE public.off() RESET track_counts"]);
    crate::powers::passes_once_remedied(&database, &remedies);
}

#[test]
fn rows_that_the_session_wrote_before_are_not_counted_for_the_phase() {
    let database = database();
    let mut session = psql(&database);
    let first = Attempt::admitted(&database);
    does(&mut session, &first.begin());
    does(&mut session, "INSERT INTO item VALUES ('1'), ('2')");
    does(&mut session, "ROLLBACK");
    // The server passes its counters on once a second, or when it is asked to.
    refuses(&mut session, &first.again().begin(), "ZG016");
    does(&mut session, "ROLLBACK");
    does(&mut session, "SELECT pg_stat_force_next_flush()");
    does(&mut session, &first.again().begin());
}

#[test]
fn an_opening_that_was_undone_leaves_its_rows_to_no_other_one() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let open = attempt.open().replacen("SELECT", "PERFORM", 1);
    let block = format!(
        "BEGIN; DO $$ BEGIN BEGIN {open}; INSERT INTO item VALUES ('1'), ('2'); RAISE 'x'; \
         EXCEPTION WHEN raise_exception THEN NULL; END; {open}; END $$"
    );
    refuses(&mut psql(&database), &block, "ZG016");
    nothing_committed(&database);
}

#[test]
fn a_role_that_the_session_acts_as_does_not_stand_for_the_session() {
    let database = database();
    let powerful = database.role("powerful");
    database.sql(&format!(
        "ALTER ROLE {0} SUPERUSER; GRANT {0} TO {1}",
        powerful.name(),
        database.runner.name()
    ));
    let mut session = psql(&database);
    does(&mut session, &format!("SET ROLE {}", powerful.name()));
    refuses(&mut session, INSERT, "ZG007");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn a_partition_that_is_made_in_the_phase_is_refused_by_name() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE part (k int) PARTITION BY LIST (k); CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0); \
         SELECT phasegate.protect('part'); GRANT INSERT ON part TO {runner}"
    ));
    let answer = database.draft_by(&Draft::of(&["a"]).and("public.part"), |_, tx| {
        database.sql("CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)");
        tx.execute("INSERT INTO part VALUES (0), (1)", &[])?;
        Ok(1)
    });
    let rollback = crate::hand::rolled_back_by(&database, answer, "ZG025");
    assert!(rollback.to_string().contains("public.part"), "{rollback}");
}

#[test]
fn a_table_whose_access_method_may_not_count_is_counted_by_statements() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler; \
         CREATE TABLE odd (n int) USING other; GRANT INSERT ON odd TO {runner}"
    ));
    let mut admin = database.admin();
    assert!(phasegate::schema::protect(&mut admin, "odd").is_err());
    phasegate::schema::protect_as(&mut admin, "odd", Guard::Statements).unwrap();
    let insert = ["INSERT INTO odd VALUES (1), (2)"];
    let counted = by_hand_on(&database, &["public.odd"], &insert);
    assert_eq!(counted.as_deref(), Ok("public.odd +2 ~0 -0"));
}

#[test]
fn a_kind_of_guard_is_kept_until_another_one_is_chosen() {
    let database = database();
    let mut admin = database.admin();
    database.sql("CREATE TABLE child () INHERITS (item); SELECT phasegate.protect('item')");
    let kinds = |database: &Database| -> String {
        database.ask(
            "SELECT string_agg(format('%s %s', g.relation::regclass, g.kind), ', ' ORDER BY g.relation::regclass::text) \
             FROM phasegate.guard_kinds AS g",
        )
    };
    assert_eq!(kinds(&database), "child counters, item counters");
    phasegate::schema::protect_as(&mut admin, "item", Guard::Statements).unwrap();
    database.sql("CREATE TABLE later () INHERITS (item)");
    for table in ["item", "later"] {
        phasegate::schema::protect(&mut admin, table).unwrap();
    }
    assert_eq!(
        kinds(&database),
        "child statements, item statements, later statements"
    );
    // Parts are counted as their whole.
    refuses(
        &mut admin,
        "SELECT phasegate.protect('child', 'counters')",
        "ZG020",
    );
    refuses(
        &mut admin,
        "SELECT phasegate.protect('item', 'rows')",
        "ZG020",
    );
    phasegate::schema::protect_as(&mut admin, "item", Guard::Counters).unwrap();
    assert_eq!(
        kinds(&database),
        "child counters, item counters, later counters"
    );
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'phasegate_count%'"),
        0
    );
}

/// Parts that came to be counted in two ways are refused, and not counted twice.
#[test]
fn a_part_that_is_counted_in_another_way_is_refused() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE child (name text NOT NULL, state text); SELECT phasegate.protect('child', 'statements'); \
         INSERT INTO child VALUES ('c'); GRANT SELECT, INSERT, UPDATE, DELETE ON child TO {runner}"
    ));
    let update = "UPDATE item SET state = 'x'";
    let answer = database.draft_by(&Draft::of(&["a"]).and("public.child"), |_, tx| {
        tx.execute("SELECT 1", &[])?;
        database.sql("ALTER TABLE child INHERIT item");
        tx.execute(update, &[])?;
        Ok(1)
    });
    let rollback = crate::server::rollback(answer);
    assert!(rollback.to_string().contains("ZG025"), "{rollback}");
}

#[test]
fn in_a_phase_the_words_of_the_guard_do_not_change() {
    held(&database(), &["TRUNCATE item"], "42501", "42501");
    held_by_hand(&database(), &["ROLLBACK", INSERT], "ZG007");
}
