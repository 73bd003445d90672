//! Housekeeping deletes what nothing needs any more, and nothing else.

use std::time::Duration;

use phasegate::Receipt;

use crate::pipeline::Draft;
use crate::server::{database, drafting, drafting_plan};

#[test]
fn housekeeping_keeps_the_last_day_the_switch_and_all_evidence() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let live = database.live(plan.clone());
    let _ = live
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    let day = Duration::from_hours(24);
    let too_short = database.operator().housekeep(day / 2).unwrap_err();
    assert!(too_short.to_string().contains("one day"), "{too_short}");
    let none = database.operator().housekeep(day).unwrap();
    assert_eq!(
        (none.attempts, none.switch_changes, none.counters),
        (0, 0, 0)
    );

    for reason in ["one", "two"] {
        let _ = database.operator().switch_on(reason, day).unwrap();
    }
    database.sql(
        "UPDATE phasegate.attempt SET opened_at = opened_at - interval '2 days'; \
         UPDATE phasegate.switch_history SET at = at - interval '2 days'; \
         INSERT INTO phasegate.counted (xid, relation, inserted, updated, deleted) VALUES ('3', 1, 1, 0, 0)",
    );
    let kept = "SELECT string_agg(md5(t::text), ' ' ORDER BY t::text) FROM ( \
                  SELECT j::text FROM phasegate.journal AS j UNION ALL SELECT p::text FROM phasegate.plan AS p \
                  UNION ALL SELECT a::text FROM phasegate.approval AS a UNION ALL SELECT r::text FROM phasegate.run AS r \
                  UNION ALL SELECT s::text FROM phasegate.approval_spent AS s \
                  UNION ALL SELECT k::text FROM phasegate.kill_switch AS k) AS t";
    let before: String = database.ask(kept);
    let changes: i64 = database.ask("SELECT count(*) FROM phasegate.switch_history");
    let deleted = database.operator().housekeep(day).unwrap();
    assert_eq!(deleted.attempts, 1);
    assert_eq!(deleted.switch_changes, changes - 1);
    assert_eq!(deleted.counters, 1);
    let last: String = database.ask("SELECT string_agg(reason, ' ') FROM phasegate.switch_history");
    assert_eq!(last, "two");
    assert_eq!(database.ask::<String>(kept), before);
}
