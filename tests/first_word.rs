//! The first word of a statement is found as the server finds it: a statement that ends a transaction there is
//! not sent, in any spelling, and every other one is.

mod pipeline;
mod server;

use phasegate::{Receipt, connect::SqlError};
use postgres::{Client, NoTls};
use proptest::prelude::{Strategy, prop};
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use pipeline::Draft;
use server::{database, does, drafting, drafting_plan};

/// What can stand before a word, and after it, and what only looks as if it could.
const DRESS: [&str; 22] = [
    " ",
    "\t",
    "\n",
    "\r",
    "\x0b",
    "\x0c",
    ";",
    "--\n",
    "-- a COMMIT\n",
    "-- b\r",
    "/**/",
    "/* c */",
    "/* /* d */ COMMIT */",
    "/*\n--*/",
    "/*/**/*/",
    "/* '",
    "*/",
    "/",
    "-",
    "\u{a0}",
    "\u{feff}",
    "'",
];

const WORDS: [&str; 26] = [
    "COMMIT",
    "commit",
    "CoMmIt",
    "COMMIT AND CHAIN",
    "COMMIT WORK",
    "END",
    "end work",
    "ROLLBACK",
    "rollback to s",
    "ABORT",
    "BEGIN",
    "START TRANSACTION",
    "SAVEPOINT s",
    "RELEASE s",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "SELECT 1",
    "SELECT 'COMMIT'",
    "VALUES (1)",
    "commit_all",
    "\"COMMIT\"",
    "e'COMMIT'",
    "commité",
    "U&\"COMMIT\"",
    "$$COMMIT$$",
    "",
];

/// Whether the server ends, begins or divides a transaction when it is sent `sql`, one statement per
/// message, in a transaction.
fn is_control(client: &mut Client, sql: &str) -> bool {
    client
        .batch_execute("ROLLBACK; BEGIN; SAVEPOINT s")
        .expect("a transaction");
    let before = "SELECT pg_current_xact_id()::text";
    let xid: String = client
        .query_one(before, &[])
        .expect("a transaction id")
        .get(0);
    if client.execute(sql, &[]).is_err() {
        return false;
    }
    let after: String = client
        .query_one(before, &[])
        .expect("a transaction id")
        .get(0);
    // Still the same one: was the savepoint rolled back to, released, or covered by another one?
    after != xid || depth(client) != 1
}

/// How many savepoints called `s` there are.
fn depth(client: &mut Client) -> u32 {
    let mut depth = 0;
    while client.batch_execute("RELEASE s").is_ok() {
        depth += 1;
    }
    depth
}

#[test]
fn exactly_transaction_control_is_not_sent() {
    let database = database();
    let mut bare = database
        .admin_config()
        .connect(NoTls)
        .expect("the administrator");
    let dress =
        || prop::collection::vec(select(DRESS.as_slice()), 0..4).prop_map(|parts| parts.concat());
    let statements = (dress(), select(WORDS.as_slice()), dress());
    let draft = Draft::of(&["a"]);
    let (mut held_back, mut sent) = (0, 0);
    let adapter = does(|_, tx| {
        let xid: String = tx
            .query_one("SELECT pg_current_xact_id()::text", &[])?
            .try_get(0)?;
        let mut runner = TestRunner::new(Config {
            cases: 1500,
            ..Config::default()
        });
        let tx = std::cell::RefCell::new(&mut *tx);
        let bare = std::cell::RefCell::new(&mut bare);
        let count = std::cell::RefCell::new((&mut held_back, &mut sent));
        let found = runner.run(&statements, |(before, word, after)| {
            let sql = format!("{before}{word}{after}");
            let control = is_control(&mut bare.borrow_mut(), &sql);
            let mut refused = false;
            let tx = &mut **tx.borrow_mut();
            // A statement that the server refuses is rolled back: the phase goes on.
            let _ = tx.savepoint(|tx| {
                let answer = tx.execute(&sql, &[]);
                refused = matches!(answer, Err(SqlError::TransactionControl { .. }));
                Ok(answer?)
            });
            let mut count = count.borrow_mut();
            *count.0 += u32::from(refused);
            *count.1 += u32::from(!refused);
            let fail = |why: &str| Err(TestCaseError::fail(format!("{why}: {sql:?}")));
            if control && !refused {
                return fail("it was sent");
            }
            let looks = |word: &str| {
                matches!(
                    word.split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_uppercase()
                        .as_str(),
                    "COMMIT"
                        | "END"
                        | "ROLLBACK"
                        | "ABORT"
                        | "BEGIN"
                        | "START"
                        | "SAVEPOINT"
                        | "RELEASE"
                        | "PREPARE"
                )
            };
            if refused && !looks(word) {
                return fail("it was held back");
            }
            let still = tx.query_one("SELECT pg_current_xact_id()::text", &[]);
            match still.map(|row| row.get::<_, String>(0)) {
                Ok(still) if still == xid => Ok(()),
                other => fail(&format!("the phase is in {other:?}, not {xid}, after")),
            }
        });
        found.map_err(|found| phasegate::Failure::new(found.to_string()))?;
        Ok(1)
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), adapter)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(answer.expect("the rule holds").value, 1);
    assert!(
        held_back > 200 && sent > 200,
        "{held_back} held back, {sent} sent"
    );
}
