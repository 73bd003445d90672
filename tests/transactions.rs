//! One live phase is one transaction; what it did is committed, durably, or tried again.

mod pipeline;
mod server;

use phasegate::testing::{ApprovesEverything, Calls, Recorder};
use phasegate::{Attempt, Failure, Receipt, Start, connect::PostgresConnector};
use postgres::error::SqlState;

use pipeline::{Adapter, Draft};
use server::proxy::{Proxy, Verdict};
use server::{all, database, does, drafting, drafting_plan, rollback};

const INSERT: &str = "INSERT INTO item VALUES ($1, 'draft')";

#[test]
fn three_rows_are_committed_in_the_receipts_one_transaction() {
    let database = database();
    let draft = Draft::of(&["a", "b", "c"]);
    let (xid, target) = database
        .live(drafting_plan(&database.target, &draft))
        .run(|run, on| {
            let receipt = drafting(run, on, &draft)?;
            let committed = receipt.committed();
            assert_eq!(
                database.items(),
                all(&["a", "b", "c"], "draft"),
                "before the run ends"
            );
            Ok((committed.xid().to_owned(), committed.target().clone()))
        })
        .unwrap()
        .value;
    assert_eq!(target, database.target);
    let status: String = database.ask(&format!("SELECT pg_xact_status('{xid}')"));
    assert_eq!(status, "committed");
    let transactions: String =
        database.ask("SELECT string_agg(DISTINCT xmin::text, ' ') FROM item");
    assert_eq!(transactions, xid, "one transaction wrote all three rows");
    database.is_left_clean();
}

#[test]
fn the_opening_is_one_message_and_the_close_with_commit_another() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let proxy = Proxy::new(&database.runner.config(), |_| Verdict::Pass);
    let answer = database
        .live(drafting_plan(&database.target, &draft))
        .connector(PostgresConnector::no_tls(proxy.config.clone()))
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(answer.unwrap().value, 1);
    let messages = proxy.messages.so_far();
    let begin = messages
        .iter()
        .filter(|text| text.starts_with("BEGIN"))
        .count();
    let commits: Vec<_> = messages
        .iter()
        .filter(|text| text.contains("; COMMIT"))
        .collect();
    assert_eq!((begin, commits.len()), (1, 1), "{messages:?}");
    let close = commits[0];
    assert!(close.starts_with("SELECT phasegate.seal("), "{close}");
    assert!(close.ends_with("; COMMIT"), "{close}");
    assert_eq!(proxy.messages.count("ROLLBACK"), 0);
    assert_eq!(messages.last(), Some(commits[0]));
}

#[test]
fn a_phase_that_turned_durability_off_is_committed_durably() {
    let database = database();
    // The drain turns it off once more.
    database.watch_durability_at_commit("PERFORM set_config('synchronous_commit', 'off', false)");
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute("SET synchronous_commit = off", &[])?;
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    assert_eq!(answer.unwrap(), 1);
    assert_eq!(database.durability_at_commit(), "on");
}

#[test]
fn a_rolled_back_phase_is_returned_with_its_approval() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let calls = Calls::new();
    let mut first = true;
    let fails_once = does(|_, tx| {
        tx.execute(INSERT, &[&"a"])?;
        if std::mem::take(&mut first) {
            Err(Failure::new("not yet"))
        } else {
            Ok(1)
        }
    });
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), fails_once)
        .authority(Recorder::new(ApprovesEverything, &calls))
        .run(|run, on| {
            let sg1 = run.approval()?;
            match run.phase(draft.clone()).attempt(on, sg1, Start) {
                Attempt::RolledBack { phase, rollback } => {
                    assert!(rollback.to_string().contains("not yet"), "{rollback}");
                    assert!(phase.spec().is_none());
                    Ok(run.perform(phase)?.into_output())
                }
                other => panic!("{other:?}"),
            }
        });
    assert_eq!(answer.unwrap().value, 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
    assert_eq!(calls.so_far(), ["attest SG_1 for draft"]);
}

#[test]
fn a_retry_sees_rows_that_another_session_wrote_meanwhile() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let answer = database
        .live_by(drafting_plan(&database.target, &draft), Adapter)
        .run(|run, on| {
            database.sql("INSERT INTO item VALUES ('a', 'theirs')");
            let first = rollback(drafting(run, on, &draft).map(Receipt::into_output));
            assert_eq!(
                first.failure().unwrap().sqlstate(),
                Some(&SqlState::UNIQUE_VIOLATION)
            );
            database.sql("DELETE FROM item");
            drafting(run, on, &draft).map(Receipt::into_output)
        });
    assert_eq!(answer.unwrap().value, 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}
