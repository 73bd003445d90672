//! `call` equals the plain loop: same results, same failed row, same tables.

use phasegate::{Failure, PhaseTx};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::laboratory::{Seen, in_a_phase, undone};

const DEEDS: [&str; 15] = [
    "insert", "on", "later", "shelf", "unshelve", "cast", "next", "after", "try", "rename",
    "remove", "divide", "no", "nothing", "unknown",
];

#[derive(Debug, Clone)]
struct Deed {
    what: &'static str,
    id: i64,
    title: String,
}

/// Mostly what succeeds, so that failures are anywhere.
fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let title = prop_oneof![
        60 => Just("good"), 30 => Just("12"), 1 => Just("burnt"), 1 => Just("banned"), 1 => Just("a\0b"),
    ];
    let benign = (
        prop_oneof![
            Just("try"),
            Just("rename"),
            Just("remove"),
            Just("insert"),
            Just("later")
        ],
        3..100_000_i64,
    );
    let any = (proptest::sample::select(&DEEDS[..]), 0..6_i64);
    let deed = (prop_oneof![60 => benign, 1 => any], title).prop_map(|((what, id), title)| Deed {
        what,
        id,
        title: title.to_owned(),
    });
    prop_oneof![
        3 => proptest::collection::vec(deed.clone(), 0..40),
        1 => proptest::collection::vec(deed, 200..900),
    ]
}

fn check(deed: &Deed, answer: Option<Value>) -> Result<Value, Failure> {
    let answer = answer.ok_or_else(|| Failure::new(format!("{}: no answer", deed.what)))?;
    if answer["ok"] == true {
        Ok(answer)
    } else {
        Err(Failure::new(format!("the register says {}", answer["why"])))
    }
}

fn by_a_loop(tx: &mut PhaseTx<'_>, deeds: &[Deed]) -> Seen<Vec<Value>> {
    undone(tx, |tx| {
        let shelve = tx.prepare("SELECT shelve($1, $2, $3)")?;
        tx.for_each_row(
            deeds,
            |deed| deed.id,
            |tx, deed| {
                let row = tx.query_one(&shelve, &[&deed.what, &deed.id, &deed.title])?;
                check(deed, row.try_get(0)?)
            },
        )
    })
}

fn by_calls(tx: &mut PhaseTx<'_>, deeds: &[Deed]) -> Seen<Vec<Value>> {
    undone(tx, |tx| {
        tx.batch(deeds).key(|deed| deed.id).call(
            "shelve",
            |deed, params| params.with(&deed.what).with(&deed.id).with(&deed.title),
            |deed, answer| check(deed, answer),
        )
    })
}

#[test]
fn function_calls_have_the_results_and_failures_of_a_loop() {
    let (mut failed, mut done) = (0, 0);
    in_a_phase("", |tx| {
        let mut runner = TestRunner::new(Config {
            cases: 300,
            failure_persistence: None,
            ..Config::default()
        });
        let tx = std::cell::RefCell::new(tx);
        let counts = std::cell::RefCell::new((0, 0));
        let same = runner.run(&deeds(), |deeds| {
            let tx = &mut **tx.borrow_mut();
            let expected = by_a_loop(tx, &deeds);
            prop_assert_eq!(&by_calls(tx, &deeds), &expected);
            let mut counts = counts.borrow_mut();
            if expected.answer.is_err() {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
            Ok(())
        });
        if let Err(different) = same {
            panic!("{different}");
        }
        (failed, done) = counts.into_inner();
    });
    assert!(failed > 30 && done > 30, "{failed} failed, {done} did not");
}

/// Each way to fail, at the ends of chunks and in the middle.
#[test]
fn every_way_to_fail_names_its_row_wherever_in_a_chunk_it_is() {
    let bad = |what, id, title: &str| Deed {
        what,
        id,
        title: title.to_owned(),
    };
    let ways = [
        (bad("insert", 3, "good"), "23505"),
        (bad("insert", 900_000, "burnt"), "23514"),
        (bad("insert", 900_000, "banned"), "BK001"),
        (bad("on", 900_000, "good"), "23503"),
        (bad("unshelve", 1, ""), "23503"),
        (bad("cast", 900_000, "good"), "22P02"),
        (bad("after", 900_000, "good"), "BK002"),
        (bad("divide", 0, ""), "22012"),
        (bad("unknown", 0, ""), "20000"),
        (bad("insert", 900_000, "a\0b"), "22021"),
        (bad("no", 0, "it is full"), ""),
        (bad("nothing", 0, ""), ""),
    ];
    in_a_phase("", |tx| {
        for at in [1_usize, 2, 64, 65, 320, 321, 900] {
            for (way, sqlstate) in &ways {
                if at == 1 && (*sqlstate == "23505" || way.what == "unshelve") {
                    continue; // What it collides with is an earlier row.
                }
                let mut deeds: Vec<_> = (3..903).map(|id| bad("insert", id, "good")).collect();
                deeds[at - 1] = way.clone();
                let seen = by_calls(tx, &deeds);
                let blame = seen.answer.unwrap_err();
                assert_eq!(blame.row, Some((at as u64, way.id.to_string())), "{way:?}");
                assert_eq!(
                    blame.sqlstate.as_deref().unwrap_or(""),
                    *sqlstate,
                    "{way:?}"
                );
                if at < 260 {
                    assert_eq!(by_a_loop(tx, &deeds).answer, Err(blame));
                }
            }
        }
    });
}
