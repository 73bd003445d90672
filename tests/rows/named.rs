//! A failure names its row, and cannot be dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::{Error, Failure, PhaseTx, batch::Discard, connect::SqlError, error::RollbackCause};
use postgres::types::Type;

use crate::laboratory::{Blame, Raw, in_a_phase, undone};
use crate::pipeline::Draft;
use crate::server::{all, database};

const FUNCTIONS: &str = "
CREATE FUNCTION pair(n bigint) RETURNS SETOF bigint LANGUAGE plpgsql AS $$ BEGIN
    IF n <> 5 THEN RETURN NEXT n; END IF;
    IF n = 7 THEN RETURN NEXT n; END IF;
END $$;
CREATE FUNCTION one() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION no_number(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT NULL::bigint';
CREATE FUNCTION nothing(n bigint) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION twice(n integer) RETURNS text LANGUAGE sql AS $$ SELECT 'integer ' || 2 * n $$;
CREATE FUNCTION twice(n bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'bigint ' || 2 * n $$;
CREATE FUNCTION least_of(n bigint[]) RETURNS bigint LANGUAGE sql AS 'SELECT min(m) FROM unnest(n) AS m';
CREATE SCHEMA \"The Register\";
GRANT USAGE ON SCHEMA \"The Register\" TO PUBLIC;
CREATE FUNCTION \"The Register\".\"say \"\"no\"\"\"(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT -n';
CREATE FUNCTION forbidden(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT n';
REVOKE EXECUTE ON FUNCTION forbidden FROM PUBLIC;
";

fn call(tx: &mut PhaseTx<'_>, function: &str, numbers: &[i64]) -> Result<Vec<i64>, Failure> {
    tx.batch(numbers).key(|n| format!("number {n}")).call(
        function,
        |n, params| params.with(n),
        |_, answer| Ok(answer),
    )
}

fn blame<T: std::fmt::Debug>(
    tx: &mut PhaseTx<'_>,
    f: impl FnOnce(&mut PhaseTx<'_>) -> Result<T, Failure>,
) -> Blame {
    undone(tx, f).answer.unwrap_err()
}

#[test]
fn a_function_that_does_not_return_once_is_refused_with_its_row() {
    in_a_phase(FUNCTIONS, |tx| {
        let none = blame(tx, |tx| call(tx, "pair", &[1, 2, 5, 6]));
        assert_eq!(none.row, Some((3, "number 5".to_owned())));
        assert!(
            none.says.contains("returned 0 values for this row"),
            "{none:?}"
        );
        let last = blame(tx, |tx| call(tx, "pair", &[1, 2, 5]));
        assert_eq!(last.row, Some((3, "number 5".to_owned())));
        let two = blame(tx, |tx| call(tx, "pair", &[1, 7, 2]));
        assert_eq!(two.row, Some((2, "number 7".to_owned())));
        assert!(
            two.says.contains("returned 2 values for this row"),
            "{two:?}"
        );
        let alone = blame(tx, |tx| call(tx, "pair", &[7]));
        assert_eq!(
            (alone.row, alone.says),
            (
                Some((1, "number 7".to_owned())),
                two.says.replace("row 2", "row 1")
            )
        );
    });
}

#[test]
fn functions_are_called_by_any_name_with_any_arguments() {
    in_a_phase(FUNCTIONS, |tx| {
        let answers = call(tx, "\"The Register\".\"say \"\"no\"\"\"", &[1, 2, 3]);
        assert_eq!(answers.unwrap(), [-1, -2, -3]);
        let none = tx
            .batch([(); 3])
            .call("one", |(), params| params, |(), n: i64| Ok(n));
        assert_eq!(none.unwrap(), [1, 1, 1]);
        for (ty, expected) in [(Type::INT8, "bigint 42"), (Type::INT4, "integer 42")] {
            let twice = tx.batch([21; 3]).types(std::slice::from_ref(&ty)).call(
                "twice",
                |n, params| {
                    if ty == Type::INT8 {
                        params.with(&i64::from(*n))
                    } else {
                        params.with(n)
                    }
                },
                |_, answer: String| Ok(answer),
            );
            assert_eq!(twice.unwrap(), [expected; 3]);
        }
        let nothing = tx.batch([1_i64, 2, 3]).call(
            "nothing",
            |n, params| params.with(n),
            |n, Discard| Ok(*n),
        );
        assert_eq!(nothing.unwrap(), [1, 2, 3]);
        // There are no arrays of arrays: these are sent row by row.
        let least = tx.batch([vec![3_i64, 2], vec![5], vec![]]).call(
            "least_of",
            |numbers, params| params.with(numbers),
            |_, least: Option<i64>| Ok(least),
        );
        assert_eq!(least.unwrap(), [Some(2), Some(5), None]);
        let nobody = tx.batch([] as [i64; 0]).call(
            "no_such_function",
            |n, params| params.with(n),
            |_, n: i64| Ok(n),
        );
        assert_eq!(nobody.unwrap(), [] as [i64; 0]);
    });
}

#[test]
fn a_result_of_another_type_is_named_with_the_right_type() {
    in_a_phase(FUNCTIONS, |tx| {
        // Two travel together, and one goes alone.
        for numbers in [&[1_i64, 2][..], &[1]] {
            let says = |failure: Blame| {
                assert_eq!(failure.row, Some((1, String::new())));
                failure.says
            };
            let null = says(blame(tx, |tx| {
                tx.batch(numbers)
                    .call("no_number", |n, params| params.with(n), |_, n: i64| Ok(n))
            }));
            assert!(
                null.ends_with("the function returned null for this row"),
                "{null}"
            );
            let void = says(blame(tx, |tx| {
                tx.batch(numbers)
                    .call("nothing", |n, params| params.with(n), |_, n: i64| Ok(n))
            }));
            assert!(void.ends_with("returns nothing"), "{void}");
            let text = says(blame(tx, |tx| {
                tx.batch(numbers).types(&[Type::INT8]).call(
                    "twice",
                    |n, params| params.with(n),
                    |_, n: i64| Ok(n),
                )
            }));
            assert!(
                text.ends_with("the function's result cannot be decoded: cannot convert between the Rust type `i64` and the Postgres type `text`"),
                "{text}"
            );
        }
    });
}

#[test]
fn what_is_wrong_with_the_call_itself_is_said() {
    in_a_phase(FUNCTIONS, |tx| {
        let text = call(tx, "one(); COMMIT; SELECT f", &[1]).unwrap_err();
        assert!(
            text.to_string().contains("is not the name of a function"),
            "{text}"
        );
        let unknown = blame(tx, |tx| call(tx, "no_such_function", &[1, 2, 3]));
        assert_eq!(
            (unknown.row, unknown.sqlstate.as_deref()),
            (None, Some("42883"))
        );
        let mut numbers = vec![1; 600];
        let forbidden = blame(tx, |tx| call(tx, "forbidden", &numbers));
        assert_eq!(
            (forbidden.row, forbidden.sqlstate.as_deref()),
            (Some((1, "number 1".to_owned())), Some("42501"))
        );
        numbers[400] = 2;
        let fewer = blame(tx, |tx| {
            tx.batch(&numbers).call(
                "shelve",
                |n, params| {
                    if **n == 2 {
                        params.with(&"insert")
                    } else {
                        params.with(&"remove").with(n).with(&"t")
                    }
                },
                |_, answer: Option<serde_json::Value>| Ok(answer),
            )
        });
        assert_eq!(fewer.row, Some((401, String::new())));
        assert!(
            fewer.says.contains("takes 3 parameters and was given 1"),
            "{fewer:?}"
        );
        let commit = tx
            .batch([1])
            .execute("COMMIT", |_, params| params, |_, _| Ok(()))
            .unwrap_err();
        let source = commit.source().downcast_ref::<SqlError>();
        assert!(
            matches!(source, Some(SqlError::TransactionControl { .. })),
            "{commit}"
        );
    });
}

#[test]
fn a_row_that_its_parameters_refuse_fails_after_those_before_it() {
    in_a_phase(FUNCTIONS, |tx| {
        let refusing = |tx: &mut PhaseTx<'_>, rows: Vec<Result<i64, String>>| {
            blame(tx, |tx| {
                tx.batch(rows).call(
                    "shelve",
                    |row, params| match row {
                        Ok(id) => params.with(&"insert").with(id).with(&"good"),
                        Err(why) => params.refuse(Failure::new(why.clone())),
                    },
                    |_, _: serde_json::Value| Ok(()),
                )
            })
        };
        let torn = || Err("the line is torn".to_owned());
        let refused = refusing(tx, vec![Ok(1), Ok(2), torn(), Ok(1)]);
        assert_eq!(
            (refused.row, &*refused.says),
            (Some((3, String::new())), "row 3: the line is torn")
        );
        let before = refusing(tx, vec![Ok(1), Ok(1), torn()]);
        assert_eq!(
            (before.row, before.sqlstate.as_deref()),
            (Some((2, String::new())), Some("23505"))
        );
        assert_eq!(refusing(tx, vec![torn()]).row, Some((1, String::new())));
    });
}

/// Rows after the one that failed may have been performed: a loop would not have come to them.
fn refuse_b(tx: &mut PhaseTx<'_>) -> Result<Vec<()>, Failure> {
    tx.batch(["a", "b", "c", "d", "e", "f", "g", "h", "i"])
        .key(|name| *name)
        .execute(
            "INSERT INTO item VALUES ($1, 'draft')",
            |name, params| params.with(name),
            |name, _| {
                if *name == "b" {
                    Err(Failure::new("not b"))
                } else {
                    Ok(())
                }
            },
        )
}

#[test]
fn a_failure_that_is_dropped_rolls_the_phase_back_all_the_same() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        assert!(refuse_b(tx).is_err());
        Ok(0)
    });
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        matches!(rollback.cause(), RollbackCause::Swallowed { .. }),
        "{rollback}"
    );
    assert!(
        rollback.to_string().contains("row 2 (b): not b"),
        "{rollback}"
    );
    assert_eq!(database.items(), []);
}

#[test]
fn a_failure_dropped_inside_a_savepoint_still_counts() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let inside = tx.savepoint(|tx| {
            drop(refuse_b(tx));
            Ok(())
        });
        assert!(inside.unwrap_err().to_string().contains("row 2 (b): not b"));
        assert!(tx.savepoint(refuse_b).is_err());
        Ok(tx.execute("INSERT INTO item VALUES ('z', 'draft')", &[])?)
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.items(), all(&["z"], "draft"));
}

#[test]
fn a_check_that_panics_and_is_caught_rolls_the_phase_back() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            tx.batch(["a", "b"]).call(
                "upper",
                |name, params| params.with(name),
                |_, _: String| -> Result<(), Failure> { panic!("no") },
            )
        }));
        assert!(caught.is_err());
        Ok(0)
    });
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        rollback.to_string().contains("were not completed"),
        "{rollback}"
    );
}

#[test]
fn a_deferred_constraint_names_no_row_but_when_it_was_checked() {
    let database = database();
    database.sql("CREATE TABLE shelf (id bigint PRIMARY KEY); CREATE TABLE book (shelf bigint REFERENCES shelf DEFERRABLE INITIALLY DEFERRED)");
    database.sql(&format!(
        "GRANT INSERT ON book TO {}",
        database.runner.name()
    ));
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.batch(0..20_i64).execute(
            "INSERT INTO book VALUES ($1)",
            |n, params| params.with(n),
            |_, _| Ok(()),
        )?;
        Ok(0)
    });
    let Err(Error::RolledBack(rollback)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(rollback.row(), None, "{rollback}");
    assert!(rollback.to_string().contains("23503"), "{rollback}");
    let hint = rollback.hint().unwrap();
    assert!(hint.contains("no single row"), "{hint}");
}

/// To call a function it is enough that one may use the function's schema.
#[test]
fn the_types_of_a_function_need_not_be_the_runners_to_name() {
    let hidden = "CREATE SCHEMA hidden;
        CREATE TYPE hidden.colour AS ENUM ('red', 'blue');
        CREATE FUNCTION paint(colour hidden.colour) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN colour; END $$;";
    in_a_phase(hidden, |tx| {
        let paint = |tx: &mut PhaseTx<'_>, colours: &[&str]| {
            let colours: Vec<_> = colours
                .iter()
                .map(|colour| Raw(Some(colour.as_bytes().to_vec())))
                .collect();
            undone(tx, |tx| {
                tx.batch(&colours).call(
                    "paint",
                    |colour, params| params.with(*colour),
                    |_, said: String| Ok(said),
                )
            })
        };
        assert_eq!(paint(tx, &["red", "blue"]).answer.unwrap(), ["red", "blue"]);
        let blame = paint(tx, &["red", "green"]).answer.unwrap_err();
        assert_eq!(
            (blame.row.unwrap().0, blame.sqlstate.as_deref()),
            (2, Some("22P02"))
        );
    });
}
