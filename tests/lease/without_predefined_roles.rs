//! Where the owner of the schema has neither `pg_signal_backend` nor `pg_read_all_stats`, as on a managed
//! service whose administrator cannot grant them.

use std::time::Duration;

use phasegate::operator::Operator;
use phasegate::testing::TestPostgres;

use crate::hand::{Hand, task};
use crate::pipeline::Draft;
use crate::server::{database_on, refusal};

const INSERT: &str = "INSERT INTO item VALUES ('a', 'draft')";

#[test]
fn off_is_off_although_no_session_can_be_ended() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = database_on(&server);
    database.sql("REVOKE pg_signal_backend FROM phasegate_owner");
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    let off = Operator::new(database.admin()).switch_off("stop", Duration::from_secs(1));
    let _ = off.unwrap();
    let status = database.operator().status().unwrap();
    assert!(!status.on && status.why == "stop", "{status:?}");
    let history = "SELECT reason FROM phasegate.switch_history ORDER BY epoch DESC LIMIT 1";
    assert_eq!(database.ask::<String>(history), "stop");
    // The session is still there, and commits nothing.
    assert!(hand.close_with("COMMIT").is_err());
    assert_eq!(database.items(), []);
}

#[test]
fn a_session_that_the_owner_cannot_see_is_refused_with_a_grant() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = database_on(&server);
    database.sql("REVOKE pg_read_all_stats FROM phasegate_owner");
    let drafts = || database.draft_by(&Draft::of(&["a"]), |_, tx| Ok(tx.execute(INSERT, &[])?));
    let refused = refusal(drafts()).to_string();
    let grant = format!("GRANT {} TO phasegate_owner", database.runner.name());
    assert!(refused.contains(&grant), "{refused}");
    database.sql(&grant);
    assert_eq!(drafts().unwrap(), 1);
}
