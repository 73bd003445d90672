//! A guarded phase makes no more round trips than a bare transaction: counted on the wire.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::sync::atomic::Ordering;

use phasegate::{Failure, PhaseTx, Receipt, connect::PostgresConnector};
use postgres::NoTls;
use postgres::types::Type;

use pipeline::Draft;
use server::proxy::{Proxy, Verdict};
use server::{Database, database, does, drafting, drafting_plan};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

/// How often the server is asked by a new session that inserts `rows` in a transaction of its own.
fn bare(database: &Database, rows: &[&str]) -> u64 {
    let proxy = Proxy::new(&database.admin_config(), |_| Verdict::Pass);
    let mut client = proxy.config.connect(NoTls).unwrap();
    let mut tx = client.transaction().unwrap();
    let insert = tx.prepare(INSERT).unwrap();
    for row in rows {
        tx.execute(&insert, &[row]).unwrap();
    }
    tx.commit().unwrap();
    drop(insert);
    client.close().unwrap();
    proxy.answers.load(Ordering::SeqCst)
}

/// How often it is asked by a phase that does the same.
fn guarded(database: &Database, rows: &[&str]) -> u64 {
    asked(database, rows, |draft, tx| {
        let insert = tx.prepare(INSERT)?;
        for row in &draft.rows {
            tx.execute(&insert, &[row])?;
        }
        Ok(1)
    })
}

fn asked<F>(database: &Database, rows: &[&str], f: F) -> u64
where
    F: FnMut(&Draft, &mut PhaseTx<'_>) -> Result<u64, Failure>,
{
    let draft = Draft::of(rows);
    let proxy = Proxy::new(&database.runner.config(), |_| Verdict::Pass);
    let _ran = database
        .live_by(drafting_plan(&database.target, &draft), does(f))
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    database.is_left_clean();
    proxy.answers.load(Ordering::SeqCst)
}

#[test]
fn a_guarded_phase_needs_the_round_trips_of_a_bare_transaction() {
    for rows in [
        &["a"][..],
        &["b", "c", "d"],
        &["e", "f", "g", "h", "i", "j", "k"],
    ] {
        let database = database();
        let guarded = guarded(&database, rows);
        database.sql("DELETE FROM item");
        let bare = bare(&database, rows);
        assert_eq!(guarded, bare, "{} rows", rows.len());
        // Connecting, the opening, the preparing and its giving back, each row, the close.
        assert_eq!(guarded, 1 + 1 + 2 + rows.len() as u64 + 1);
    }
}

#[test]
fn a_statement_whose_types_are_known_takes_one_round_trip() {
    let database = database();
    let one = |item: &str, f: fn(&mut PhaseTx<'_>) -> Result<(), Failure>| {
        asked(&database, &[item], |_, tx| f(tx).map(|()| 1)) - (1 + 1 + 1)
    };
    let none = one("nothing", |_| Ok(()));
    assert_eq!(none, 0, "connecting, the opening, the close");
    assert_eq!(
        one("without parameters", |tx| {
            tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
            tx.query("SELECT name FROM item", &[])?;
            tx.query_one("SELECT count(*) FROM item", &[])?;
            tx.query_opt("SELECT name FROM item LIMIT 1", &[])?;
            tx.query_raw("SELECT name FROM item", &[])?.for_each(drop);
            Ok(())
        }),
        5
    );
    assert_eq!(
        one("of given types", |tx| {
            let insert = ("INSERT INTO item VALUES ($1, $2)", [Type::TEXT, Type::TEXT]);
            assert_eq!(tx.execute(&insert, &[&"b", &"draft"])?, 1);
            let types: &[Type] = &[Type::TEXT];
            let find = ("SELECT state FROM item WHERE name = $1", types);
            assert_eq!(tx.query(&find, &[&"b"])?.len(), 1);
            assert_eq!(tx.query_one(&find, &[&"b"])?.get::<_, &str>(0), "draft");
            assert!(tx.query_opt(&find, &[&"c"])?.is_none());
            assert_eq!(tx.query_raw(&find, &[&"b"])?.count(), 1);
            Ok(())
        }),
        5
    );
    // Asking for the types, and letting go of the answer.
    assert_eq!(
        one("of unknown types", |tx| {
            tx.execute(INSERT, &[&"c"])?;
            Ok(())
        }),
        3
    );
}

#[test]
fn a_statement_of_given_types_is_checked_as_any_other() {
    let database = database();
    let refused = |draft: &str, f: fn(&mut PhaseTx<'_>) -> Result<(), Failure>| {
        let mut said = String::new();
        asked(&database, &[draft], |_, tx| {
            said = f(tx).unwrap_err().to_string();
            Ok(1)
        });
        said
    };
    let control = refused("control", |tx| {
        Ok(tx.execute(&("COMMIT", []), &[]).map(drop)?)
    });
    assert!(control.contains("COMMIT"), "{control}");
    let one_more = refused("one more", |tx| {
        let insert = (INSERT, [Type::TEXT]);
        Ok(tx.execute(&insert, &[&"a", &"b"]).map(drop)?)
    });
    assert!(
        one_more.contains('1') && one_more.contains('2'),
        "{one_more}"
    );
    let another = refused("another type", |tx| {
        let insert = (INSERT, [Type::TEXT]);
        Ok(tx.execute(&insert, &[&7_i64]).map(drop)?)
    });
    assert!(another.contains("text"), "{another}");
}

#[test]
fn calls_for_rows_take_one_round_trip_for_each_chunk() {
    let database = database();
    let calls = |item: &str, rows: i64| {
        asked(&database, &[item], |_, tx| {
            tx.batch(0..rows).call(
                "pg_catalog.int8abs",
                |n, params| params.with(n),
                |_, n: i64| Ok(n),
            )?;
            Ok(1)
        })
    };
    // Connecting, the opening, asking for the function's parameters and giving that back, one chunk,
    // the close.
    let few = calls("a", 64);
    assert_eq!(few, 1 + 1 + 2 + 1 + 1);
    // Chunks of 64, 256 and 680, or smaller ones where the first takes long.
    let many = calls("b", 1000) - few;
    assert!((2..=4).contains(&many), "{many}");
    let statements = asked(&database, &["c"], |_, tx| {
        tx.batch(0..64_i64).execute(
            "INSERT INTO item VALUES ($1::bigint::text, 'draft')",
            |n, params| params.with(n),
            |_, _| Ok(()),
        )?;
        Ok(1)
    });
    // And four more, after which the statement is one that is performed inside the server, and one
    // that has the session forget it.
    assert_eq!(statements, few + 5);
}
