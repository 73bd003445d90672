//! `execute` equals the plain loop: same numbers of rows, same row that failed, same tables.

use phasegate::{Failure, PhaseTx};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::laboratory::{Seen, in_a_phase, undone};
use crate::pipeline::Draft;
use crate::server::database;

/// Inside the server, and not.
const STATEMENTS: [&str; 10] = [
    "INSERT INTO book VALUES ($1, 1, $2)",
    "INSERT INTO book VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE SET title = excluded.title; ",
    "insert into book values ($1, $1::bigint % 2 + 1, $2) -- on a shelf",
    "UPDATE book SET title = $2 WHERE id % 7 = $1 % 7",
    "UPDATE book SET id = id + 1 WHERE id >= $1 AND title <> $2",
    "/* ) */ DELETE FROM book WHERE id % 5 = $1 % 5 AND title <> $2",
    "WITH one AS (SELECT $1::bigint AS id) INSERT INTO book SELECT id, 1, $2 FROM one",
    "INSERT INTO view VALUES ($1, $2)",
    "INSERT INTO book SELECT $1, 1, $2 RETURNING id",
    "SELECT shelve('insert', $1, $2)",
];

/// Its rule has no RETURNING, which the count of a statement needs.
const VIEW: &str = "CREATE VIEW view AS SELECT id, title FROM book;
    CREATE RULE kept AS ON INSERT TO view DO INSTEAD INSERT INTO book VALUES (new.id, 2, new.title);";

fn check((id, _): &(i64, String), changed: u64) -> Result<u64, Failure> {
    if id % 97 == 0 && changed != 1 {
        return Err(Failure::new(format!("{changed} changed")));
    }
    Ok(changed)
}

fn by_a_loop(tx: &mut PhaseTx<'_>, sql: &str, rows: &[(i64, String)]) -> Seen<Vec<u64>> {
    undone(tx, |tx| {
        let one = tx.prepare(sql)?;
        tx.for_each_row(
            rows,
            |(id, _)| *id,
            |tx, row| check(row, tx.execute(&one, &[&row.0, &row.1])?),
        )
    })
}

fn by_calls(tx: &mut PhaseTx<'_>, sql: &str, rows: &[(i64, String)]) -> Seen<Vec<u64>> {
    undone(tx, |tx| {
        tx.batch(rows).key(|(id, _)| *id).execute(
            sql,
            |(id, title), params| params.with(id).with(title),
            |row, changed| check(row, changed),
        )
    })
}

#[test]
fn statements_have_the_counts_and_failures_of_a_loop() {
    let (mut failed, mut done) = ([0; STATEMENTS.len()], [0; STATEMENTS.len()]);
    in_a_phase(VIEW, |tx| {
        let mut runner = TestRunner::new(Config {
            cases: 400,
            failure_persistence: None,
            ..Config::default()
        });
        let state = std::cell::RefCell::new((tx, &mut failed, &mut done));
        let title = prop_oneof![
            60 => Just("good"), 30 => Just("it's \\ 100 % %s $1"), 1 => Just("burnt"), 1 => Just("banned"), 1 => Just("a\0b"),
        ];
        let row = (1..2000_i64, title.prop_map(str::to_owned));
        let rows = prop_oneof![
            3 => proptest::collection::vec(row.clone(), 0..30),
            1 => proptest::collection::vec(row, 100..300),
        ];
        let same = runner.run(&(0..STATEMENTS.len(), rows), |(n, rows)| {
            let (tx, failed, done) = &mut *state.borrow_mut();
            let expected = by_a_loop(tx, STATEMENTS[n], &rows);
            prop_assert_eq!(
                &by_calls(tx, STATEMENTS[n], &rows),
                &expected,
                "{}",
                STATEMENTS[n]
            );
            match expected.answer {
                Ok(_) => done[n] += 1,
                Err(_) => failed[n] += 1,
            }
            Ok(())
        });
        if let Err(different) = same {
            panic!("{different}");
        }
    });
    assert!(
        failed
            .iter()
            .chain(&done)
            .filter(|times| **times == 0)
            .count()
            <= 3,
        "{failed:?} {done:?}"
    );
}

#[test]
fn a_role_that_may_only_insert_inserts() {
    in_a_phase("CREATE TABLE drop_box (n bigint);", |tx| {
        undone(tx, |tx| {
            let rows = 0..20_i64;
            tx.batch(rows).execute(
                "INSERT INTO drop_box VALUES ($1)",
                |n, params| params.with(n),
                |_, changed| {
                    assert_eq!(changed, 1);
                    Ok(())
                },
            )
        })
        .answer
        .unwrap();
    });
}

/// More than a function of the server has.
#[test]
fn a_statement_has_as_many_parameters_as_in_a_loop() {
    let columns = |count: usize| (1..=count).map(|n| format!("c{n} text"));
    let wide = columns(120).collect::<Vec<_>>().join(", ");
    in_a_phase(&format!("CREATE TABLE wide ({wide});"), |tx| {
        for count in [99, 100, 120] {
            let values: Vec<_> = (1..=count).map(|n| format!("${n}")).collect();
            let seen = undone(tx, |tx| {
                tx.batch(0..10).execute(
                    &format!("INSERT INTO wide VALUES ({})", values.join(", ")),
                    |_, params| (0..count).fold(params, |params, _| params.with(&"it's")),
                    |_, changed| Ok(changed),
                )
            });
            assert_eq!(seen.answer.unwrap(), [1; 10], "{count}");
        }
    });
}

/// It is the statement that has to be allowed, and not how it is performed.
#[test]
fn a_role_set_by_the_phase_has_the_same_privileges_as_in_a_loop() {
    let database = database();
    let clerk = database.role("clerk");
    let (clerk, runner) = (clerk.name(), database.runner.name());
    database.sql(&format!(
        "GRANT {clerk} TO {runner}; GRANT INSERT ON item TO {clerk}"
    ));
    let changed = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute(&format!("SET LOCAL ROLE {clerk}"), &[])?;
        let changed = tx.batch(0..20_i64).execute(
            "INSERT INTO item VALUES ($1::bigint::text)",
            |n, params| params.with(n),
            |_, changed| Ok(changed),
        )?;
        tx.execute("RESET ROLE", &[])?;
        Ok(changed.iter().sum())
    });
    assert_eq!(changed.unwrap(), 20);
}
