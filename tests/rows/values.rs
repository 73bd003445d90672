//! Every value, also one that the server refuses before it calls anything, is that of its row.

use phasegate::{Failure, PhaseTx};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::laboratory::{Blame, Raw, Seen, in_a_phase, undone};

/// The types that travel together, and some that do not.
const TYPES: [&str; 26] = [
    "bool",
    "\"char\"",
    "int2",
    "int4",
    "int8",
    "oid",
    "float4",
    "float8",
    "text",
    "varchar",
    "bpchar",
    "name",
    "json",
    "jsonb",
    "bytea",
    "uuid",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "numeric",
    "mood",
    "small",
    "int4range",
    "short",
    "padded",
];

/// A value of each, as the server reads it.
const GOOD: [&[u8]; TYPES.len()] = [
    b"\x01",
    b"c",
    &[0, 7],
    &[0, 0, 0, 7],
    &[0, 0, 0, 0, 0, 0, 0, 7],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x3f, 0x80, 0, 0],
    &[0x3f, 0xf0, 0, 0, 0, 0, 0, 1],
    b"text",
    b"varchar",
    b"bpchar ",
    b"name",
    b" {\"a\":  1}",
    b"\x01{\"a\":  1}",
    b"\0\xff",
    &[7; 16],
    &[0, 0, 1, 0],
    &[0, 0, 0, 1, 0, 0, 0, 0],
    &[0, 2, 0, 0, 0, 0, 0, 1],
    &[0, 2, 0, 0, 0, 0, 0, 1],
    &[0, 1, 0, 0, 0x40, 0, 0, 2, 0, 7],
    b"storm",
    &[0, 0, 0, 99],
    &[2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 9],
    b"short",
    b"pad",
];

/// What is at the edge of a type, or past it.
fn edges() -> Vec<Vec<u8>> {
    let moments = [
        86_400_000_000,
        86_400_000_001,
        -1,
        -211_813_488_000_000_000,
        -211_813_488_000_000_001,
        9_223_371_331_199_999_999,
        9_223_371_331_200_000_000,
        i64::MAX,
        i64::MIN,
    ];
    let days = [
        -2_451_545,
        -2_451_546,
        2_145_031_948,
        2_145_031_949,
        100,
        i32::MAX,
        i32::MIN,
    ];
    let bytes: [&[u8]; 20] = [
        b"longer",
        &[b'n'; 63],
        &[b'n'; 64],
        b"",
        b"a\0b",
        b"\xff",
        b"fury",
        b"{",
        b"{}",
        b"\x01",
        b"\x01{",
        b"\x02{}",
        b"\x01\"\\u0000\"",
        &[0, 1, 0, 0, 0, 0, 0, 2, 39, 15],
        &[0, 1, 0, 0, 0, 0, 0, 2, 39, 16],
        &[0, 1, 0, 0, 0x80, 0, 0, 2, 0, 7],
        &[0, 2, 0, 0, 0, 0, 0, 2, 0, 7],
        &[0, 0, 0, 0, 0xC0, 0, 0, 0],
        &[0, 0, 0, 0, 0xD0, 0, 0, 0],
        &[0, 1, 0x7f, 0xff, 0, 0, 0x40, 0, 0, 9],
    ];
    let moments = moments.iter().map(|n: &i64| n.to_be_bytes().to_vec());
    let days = days.iter().map(|n: &i32| n.to_be_bytes().to_vec());
    moments
        .chain(days)
        .chain(bytes.iter().map(|bytes| bytes.to_vec()))
        .collect()
}

/// What each type has, and what it has not.
fn value() -> impl Strategy<Value = Raw> {
    prop_oneof![
        2 => Just(Raw(None)),
        4 => any::<i64>().prop_map(|n| Raw(Some(n.to_be_bytes().to_vec()))),
        4 => any::<i32>().prop_map(|n| Raw(Some(n.to_be_bytes().to_vec()))),
        4 => (0..86_400_000_000_i64).prop_map(|n| Raw(Some(n.to_be_bytes().to_vec()))),
        2 => (0..200_i32).prop_map(|n| Raw(Some(n.to_be_bytes().to_vec()))),
        2 => any::<[u8; 16]>().prop_map(|n| Raw(Some(n.to_vec()))),
        2 => any::<[u8; 2]>().prop_map(|n| Raw(Some(n.to_vec()))),
        1 => any::<u8>().prop_map(|n| Raw(Some(vec![n]))),
        2 => "[ -~]{0,12}".prop_map(|text| Raw(Some(text.into_bytes()))),
        1 => "\\PC{0,6}".prop_map(|text| Raw(Some(text.into_bytes()))),
        1 => proptest::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| Raw(Some(bytes))),
        1 => proptest::sample::select(edges()).prop_map(|bytes| Raw(Some(bytes))),
        1 => proptest::sample::select(&GOOD[..]).prop_map(|bytes| Raw(Some(bytes.to_vec()))),
    ]
}

/// What the server made of a value, and of which row it was.
fn by_a_loop(tx: &mut PhaseTx<'_>, sql: &str, values: &[Raw]) -> Seen<Vec<Option<String>>> {
    undone(tx, |tx| {
        let one = tx.prepare(sql)?;
        tx.for_each_row(
            values,
            |_| "",
            |tx, value| Ok(tx.query_one(&one, &[value])?.try_get(0)?),
        )
    })
}

fn by_calls(tx: &mut PhaseTx<'_>, function: &str, values: &[Raw]) -> Seen<Vec<Option<String>>> {
    undone(tx, |tx| {
        tx.batch(values).call(
            function,
            |value, params| params.with(*value),
            |_, answer| Ok(answer),
        )
    })
}

fn functions() -> String {
    let functions = TYPES.iter().enumerate().map(|(n, ty)| {
        format!(
            "CREATE FUNCTION seen_{n}(value {ty}) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN value::text; END $$;
             CREATE TABLE kept_{n} (place bigserial, value {ty});
             CREATE FUNCTION kept_{n}() RETURNS text LANGUAGE sql SET extra_float_digits = 3 AS $$ SELECT string_agg(coalesce(k.value::text, 'null'), '|' ORDER BY place) FROM kept_{n} AS k $$;"
        )
    });
    format!(
        "{} GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;",
        functions.collect::<String>()
    )
}

#[test]
fn a_value_of_any_type_good_or_bad_is_seen_as_in_a_loop() {
    let mut counts = [0, 0];
    in_a_phase(&functions(), |tx| {
        let mut runner = TestRunner::new(Config {
            cases: 250,
            failure_persistence: None,
            ..Config::default()
        });
        for (n, good) in GOOD.iter().enumerate() {
            let good = [
                Raw(Some(good.to_vec())),
                Raw(None),
                Raw(Some(good.to_vec())),
            ];
            let seen = by_calls(tx, &format!("seen_{n}"), &good);
            assert!(seen.answer.is_ok(), "{}: {seen:?}", TYPES[n]);
            assert_eq!(seen, by_a_loop(tx, &format!("SELECT seen_{n}($1)"), &good));
            // Each after one that is good, so that a row of its own is to blame.
            for edge in edges() {
                let values = [good[0].clone(), Raw(Some(edge)), good[0].clone()];
                let seen = by_calls(tx, &format!("seen_{n}"), &values);
                let expected = by_a_loop(tx, &format!("SELECT seen_{n}($1)"), &values);
                assert_eq!(seen, expected, "{}: {:?}", TYPES[n], values[1]);
                counts[usize::from(expected.answer.is_err())] += 1;
            }
        }
        let state = std::cell::RefCell::new((tx, &mut counts));
        let values = proptest::collection::vec(value(), 1..4);
        let same = runner.run(&(0..TYPES.len(), values), |(n, values)| {
            let (tx, counts) = &mut *state.borrow_mut();
            let expected = by_a_loop(tx, &format!("SELECT seen_{n}($1)"), &values);
            prop_assert_eq!(
                &by_calls(tx, &format!("seen_{n}"), &values),
                &expected,
                "{}",
                TYPES[n]
            );
            counts[usize::from(expected.answer.is_err())] += 1;
            Ok(())
        });
        if let Err(different) = same {
            panic!("{different}");
        }
    });
    assert!(
        counts.into_iter().all(|count| count > 50),
        "{counts:?} accepted and refused"
    );
}

/// As arguments of a statement that is performed inside the server, they are text for a moment.
#[test]
fn a_value_of_any_type_is_kept_by_a_statement_as_in_a_loop() {
    in_a_phase(&functions(), |tx| {
        // Whatever the session writes moments and numbers like.
        for setting in [
            "datestyle = 'SQL, DMY'",
            "extra_float_digits = 0",
            "bytea_output = 'escape'",
            "timezone = 'Asia/Kolkata'",
        ] {
            tx.execute(&format!("SET LOCAL {setting}"), &[]).unwrap();
        }
        for (n, good) in GOOD.iter().enumerate() {
            let mut values = edges();
            values.push(good.to_vec());
            let mut values: Vec<_> = values.into_iter().map(|value| Raw(Some(value))).collect();
            values.push(Raw(None));
            values.retain(|value| {
                let one = std::slice::from_ref(value);
                by_a_loop(tx, &format!("SELECT seen_{n}($1)"), one)
                    .answer
                    .is_ok()
            });
            // As many as it takes to be performed inside the server.
            let values: Vec<_> = values.iter().cycle().take(values.len() + 8).collect();
            let insert = format!("INSERT INTO kept_{n} (value) VALUES ($1)");
            let kept = |tx: &mut PhaseTx<'_>| -> Result<String, Failure> {
                let row = tx.query_one(&format!("SELECT kept_{n}()"), &[])?;
                Ok(row.try_get(0)?)
            };
            let expected = undone(tx, |tx| {
                for value in &values {
                    tx.execute(&insert, &[value])?;
                }
                kept(tx)
            });
            let seen = undone(tx, |tx| {
                tx.batch(&values).execute(
                    &insert,
                    |value, params| params.with(*value),
                    |_, changed| {
                        assert_eq!(changed, 1);
                        Ok(())
                    },
                )?;
                kept(tx)
            });
            assert_eq!(seen, expected, "{}", TYPES[n]);
            assert!(seen.answer.is_ok(), "{}: {seen:?}", TYPES[n]);
        }
    });
}

/// A body that the planner puts in the place of the call needs no argument that it does not come to.
#[test]
fn an_unused_value_of_a_function_is_refused_as_in_a_loop() {
    let functions = ["jsonb", "json", "mood", "small"].map(|ty| {
        format!("CREATE FUNCTION unseen(first text, value {ty}) RETURNS text LANGUAGE sql AS 'SELECT coalesce(first, value::text)';
                 CREATE FUNCTION unseen_{ty}(first text, value {ty}) RETURNS text LANGUAGE sql AS 'SELECT first';")
    });
    in_a_phase(&functions.concat(), |tx| {
        let small = |n: i32| n.to_be_bytes().to_vec();
        for (ty, good, bad) in [
            ("jsonb", b"\x01{}".to_vec(), b"\x01{".to_vec()),
            ("json", b"{}".to_vec(), b"{".to_vec()),
            ("mood", b"calm".to_vec(), b"fury".to_vec()),
            ("small", small(7), small(100)),
        ] {
            let good = Raw(Some(good));
            let rows = [&good, &Raw(Some(bad)), &good].map(|value| ("first", value.clone()));
            for (function, oid) in [("unseen".to_owned(), true), (format!("unseen_{ty}"), false)] {
                let sql = if oid {
                    format!("SELECT unseen($1, $2::{ty})")
                } else {
                    format!("SELECT {function}($1, $2)")
                };
                let mut types = Vec::new();
                let expected = undone(tx, |tx| {
                    let one = tx.prepare(&sql)?;
                    types = one.params().to_vec();
                    tx.for_each_row(
                        &rows,
                        |_| "",
                        |tx, row| Ok(tx.query_one(&one, &[&row.0, &row.1])?.try_get(0)?),
                    )
                });
                let seen = undone(tx, |tx| {
                    tx.batch(&rows).types(&types).call(
                        &function,
                        |row, params| params.with(&row.0).with(&row.1),
                        |_, answer: String| Ok(answer),
                    )
                });
                assert_eq!(seen, expected, "{function} of {ty}");
                let blame: Blame = seen.answer.unwrap_err();
                assert_eq!(blame.row, Some((2, String::new())), "{function} of {ty}");
            }
        }
    });
}

#[test]
fn a_value_of_a_domains_base_type_is_taken_for_one_or_many_rows() {
    let functions = "CREATE FUNCTION pasted(one small, other short) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN one || other; END $$;
        CREATE TABLE numbered (one small, other integer);";
    in_a_phase(functions, |tx| {
        for many in [1, 2, 20] {
            let rows = vec![(7, "short".to_owned()); many];
            let seen = undone(tx, |tx| {
                tx.batch(&rows).execute(
                    "INSERT INTO numbered VALUES ($1::small, $2)",
                    |(one, _), params| params.with(one).with(one),
                    |_, changed| Ok(changed),
                )?;
                tx.batch(&rows).call(
                    "pasted",
                    |(one, other), params| params.with(one).with(other),
                    |_, answer: String| Ok(answer),
                )
            });
            assert_eq!(seen.answer.unwrap(), vec!["7short"; many]);
        }
    });
}
