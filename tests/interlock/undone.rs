//! What is undone: a phase counts exactly what stands, or is refused. Tables are counted by the server's counters, which a
//! rollback to a savepoint does not set back.

use phasegate::{Failure, schema::Guard};

use crate::hand::{Attempt, DRAIN, finish, psql};
use crate::pipeline::Draft;
use crate::server::{Database, database, drafting_plan};
use postgres::Client;

const MARK: &str = "SELECT phasegate.before_savepoint(); SAVEPOINT a";
const BACK: &str = "ROLLBACK TO SAVEPOINT a; SELECT phasegate.after_rollback()";

/// Performs one message, whatever the server says to it.
fn message(session: &mut Client, sql: &str) -> Option<String> {
    let answer = session.simple_query(sql);
    answer.err().map(|error| crate::hand::code(&error))
}

/// Performs messages by hand in a phase that may change `tables`, and commits it. Returns what the journal has, or the
/// SQLSTATE of the first refusal of the close.
pub(crate) fn by_hand_on(
    database: &Database,
    tables: &[&str],
    messages: &[&str],
) -> Result<String, String> {
    let name = format!("{:?}", std::time::SystemTime::now());
    let draft = Draft::of(&[name.as_str()]);
    let draft = tables.iter().fold(draft, |draft, table| draft.and(table));
    let plan = drafting_plan(&database.target, &draft);
    database.admit(&plan);
    let attempt = Attempt::of(&plan, 1);
    let mut session = psql(database);
    assert_eq!(message(&mut session, &attempt.begin()), None);
    for sql in messages {
        let said = message(&mut session, sql);
        assert!(
            said.is_none() || sql.starts_with("/* fails */"),
            "{sql}: {said:?}"
        );
    }
    for close in [&attempt.seal(), DRAIN, &finish("1"), "COMMIT"] {
        if let Some(refused) = message(&mut session, close) {
            return Err(refused);
        }
    }
    Ok(database.ask(&format!(
        "SELECT coalesce(string_agg(format('%s +%s ~%s -%s', e.key, e.value ->> 'inserted', \
                e.value ->> 'updated', e.value ->> 'deleted'), ', ' ORDER BY e.key), '') \
         FROM phasegate.journal AS j, jsonb_each(j.body::jsonb -> 'effects') AS e \
         WHERE j.plan = decode('{}', 'hex')",
        plan.digest()
    )))
}

pub(crate) fn by_hand(database: &Database, messages: &[&str]) -> Result<String, String> {
    by_hand_on(database, &[], messages)
}

#[allow(clippy::unnecessary_wraps)] // compared with what may be refused
fn counted(rows: &str) -> Result<String, String> {
    Ok(if rows.is_empty() {
        String::new()
    } else {
        format!("public.item {rows}")
    })
}

fn refused() -> Result<String, String> {
    Err("ZG006".to_owned())
}

#[test]
fn savepoints_of_an_adapter_are_counted_however_they_are_nested() {
    let database = database();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute("INSERT INTO item VALUES ('1'), ('2')", &[])?;
        for round in 0..3 {
            let name = format!("kept {round}");
            tx.savepoint(|tx| {
                tx.execute("INSERT INTO item VALUES ($1)", &[&name])?;
                let undone = tx.savepoint(|tx| {
                    tx.execute("UPDATE item SET state = 'x'", &[])?;
                    tx.savepoint(|tx| Ok(tx.execute("DELETE FROM item WHERE name = '1'", &[])?))?;
                    Err::<(), _>(Failure::new("undone"))
                });
                assert!(undone.is_err());
                // Fails in its midst: rows were written before.
                let failed = tx
                    .savepoint(|tx| Ok(tx.execute("INSERT INTO item VALUES ('new'), ('2')", &[])?));
                assert!(failed.is_err());
                Ok(tx.execute("UPDATE item SET state = 'y' WHERE name = '2'", &[])?)
            })?;
        }
        let undone = tx.savepoint(|tx| {
            tx.savepoint(|tx| Ok(tx.execute("DELETE FROM item", &[])?))?;
            Err::<(), _>(Failure::new("undone"))
        });
        assert!(undone.is_err());
        Ok(1)
    });
    assert_eq!(done.unwrap(), 1);
    let counted: String =
        database.ask("SELECT body::jsonb -> 'effects' ->> 'public.item' FROM phasegate.journal");
    assert_eq!(counted, r#"{"deleted": 0, "updated": 3, "inserted": 5}"#);
}

#[test]
fn a_savepoint_that_says_what_it_undoes_is_counted() {
    let database = database();
    let insert = |name: &str| format!("INSERT INTO item VALUES ('{name}')");
    for (messages, rows) in [
        (vec![&*insert("1"), MARK, &insert("2"), BACK], "+1 ~0 -0"),
        (vec![MARK, &insert("3"), BACK, &insert("4"), BACK], ""),
        (
            vec![MARK, &insert("5"), "RELEASE a", &insert("6")],
            "+2 ~0 -0",
        ),
        (
            vec![
                MARK,
                &insert("7"),
                MARK,
                &insert("8"),
                BACK,
                "RELEASE a",
                &insert("9"),
                BACK,
            ],
            "",
        ),
        (
            vec![
                &insert("7"),
                MARK,
                MARK,
                &insert("8"),
                "RELEASE a",
                BACK,
                &insert("9"),
            ],
            "+2 ~0 -0",
        ),
        // An unmarked one inside a marked one that is undone.
        (
            vec![
                &insert("10"),
                MARK,
                "SAVEPOINT b",
                &insert("11"),
                "ROLLBACK TO b",
                &insert("12"),
                BACK,
            ],
            "+1 ~0 -0",
        ),
        (
            vec![
                "RESET application_name",
                MARK,
                "RESET ALL",
                BACK,
                &insert("13"),
            ],
            "+1 ~0 -0",
        ),
    ] {
        assert_eq!(by_hand(&database, &messages), counted(rows), "{messages:?}");
    }
}

#[test]
fn what_is_undone_without_a_word_is_refused() {
    let database = database();
    let insert = "INSERT INTO item VALUES ('1')";
    let other = "INSERT INTO item VALUES ('2')";
    for messages in [
        vec![insert, "SAVEPOINT a", other, "ROLLBACK TO a"],
        vec!["SAVEPOINT a", insert, "ROLLBACK TO a"],
        vec!["SAVEPOINT a", insert, "ROLLBACK TO a", other],
        vec![MARK, insert, "ROLLBACK TO a"],
        // There is a mark, and what stands came after it.
        vec![MARK, insert, "SAVEPOINT a", other, BACK],
        vec!["SAVEPOINT a", insert, "ROLLBACK TO a", other, MARK, BACK],
        // What was not said cannot be said later.
        vec![
            MARK,
            insert,
            "ROLLBACK TO a",
            other,
            MARK,
            BACK,
            "RELEASE a",
        ],
        vec![
            insert,
            "SAVEPOINT a",
            "/* fails */ INSERT INTO item VALUES ('2'), ('1')",
            "ROLLBACK TO a",
        ],
        vec![
            insert,
            "SAVEPOINT a",
            "DELETE FROM item WHERE false",
            "ROLLBACK TO a",
        ],
    ] {
        assert_eq!(by_hand(&database, &messages), refused(), "{messages:?}");
    }
    assert_eq!(database.items().len(), 0);
}

/// What was said too late, but before anything else was written, is in time.
#[test]
fn a_word_that_comes_before_the_next_write_is_in_time() {
    let database = database();
    let messages = [
        MARK,
        "INSERT INTO item VALUES ('1')",
        "ROLLBACK TO a",
        BACK,
        "INSERT INTO item VALUES ('2')",
    ];
    assert_eq!(by_hand(&database, &messages), counted("+1 ~0 -0"));
}

#[test]
fn a_rollback_that_undoes_no_write_to_a_guarded_table_is_no_matter() {
    let database = database();
    let messages = [
        "INSERT INTO item VALUES ('1')",
        "SAVEPOINT a",
        "SELECT * FROM item",
        "ROLLBACK TO a",
    ];
    assert_eq!(by_hand(&database, &messages), counted("+1 ~0 -0"));
}

#[test]
fn an_exception_block_inside_of_a_statement_is_refused() {
    let database = database();
    database.sql(
        "CREATE FUNCTION undoes(n int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
           BEGIN INSERT INTO item VALUES (n::text); RAISE 'x'; EXCEPTION WHEN raise_exception THEN NULL; END; \
           RETURN 'row ' || n; END $$",
    );
    let insert = "INSERT INTO item SELECT undoes(g) FROM generate_series(1, 3) AS g";
    assert_eq!(by_hand(&database, &[insert]), refused());
    assert_eq!(by_hand(&database, &["SELECT undoes(1)"]), refused());
    // And the way out.
    phasegate::schema::protect_as(&mut database.admin(), "item", Guard::Statements).unwrap();
    assert_eq!(by_hand(&database, &[insert]), counted("+3 ~0 -0"));
}

#[test]
fn what_a_trigger_of_a_row_undoes_is_refused() {
    let database = database();
    database.sql(
        "CREATE FUNCTION undoes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF pg_trigger_depth() = 1 THEN \
             BEGIN INSERT INTO item VALUES (new.name || '!'); RAISE 'x'; EXCEPTION WHEN raise_exception THEN NULL; END; \
           END IF; RETURN new; END $$; \
         CREATE TRIGGER undoes BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION undoes()",
    );
    assert_eq!(
        by_hand(&database, &["INSERT INTO item VALUES ('1')"]),
        refused()
    );
}

#[test]
fn only_a_message_of_the_client_sets_rows_aside() {
    let database = database();
    database.sql(
        "CREATE FUNCTION says(sql text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN sql; END $$",
    );
    for sql in [
        "SELECT phasegate.after_rollback()",
        "SELECT phasegate.before_savepoint()",
        "SELECT says('SELECT phasegate.after_rollback()')",
        "DO $$ BEGIN PERFORM phasegate.before_savepoint(); END $$",
        "INSERT INTO item SELECT says('SELECT phasegate.after_rollback()')",
        "SELECT phasegate.before_savepoint(); INSERT INTO item VALUES ('1'); SAVEPOINT a",
        "SELECT phasegate.before_savepoint(); SAVEPOINT a; SELECT 1",
        "SELECT phasegate.before_savepoint(); SAVEPOINT \"a; b\"",
        "ROLLBACK TO SAVEPOINT a; SELECT phasegate.after_rollback(), 1",
        "ROLLBACK TO SAVEPOINT a; /* */ SELECT phasegate.after_rollback()",
    ] {
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        for before in [&attempt.begin(), MARK, "INSERT INTO item VALUES ('0')"] {
            assert_eq!(message(&mut session, before), None);
        }
        assert_eq!(
            message(&mut session, sql).as_deref(),
            Some("ZG001"),
            "{sql}"
        );
    }
}

#[test]
fn where_no_phase_is_open_there_is_nothing_to_set_aside() {
    let database = database();
    let mut session = psql(&database);
    for sql in ["BEGIN", MARK, BACK] {
        let said = message(&mut session, sql);
        assert!(
            said.is_none() || said.as_deref() == Some("ZG001"),
            "{sql}: {said:?}"
        );
    }
    assert!(message(&mut session, "INSERT INTO item VALUES ('0')").is_some());
}
