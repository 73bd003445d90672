//! Ways to change rows of a guarded table, or of another, that the count does not see.

use crate::hand::{Attempt, INSERT, does, nothing_committed, psql, refuses};
use crate::server::database;

#[test]
fn a_statement_that_finishes_the_phase_changes_no_row_that_is_not_counted() {
    for statement in [
        "UPDATE item SET state = 'x' FROM (SELECT FINISH OFFSET 0) AS f",
        "DELETE FROM item WHERE FINISH IS NOT NULL",
        "INSERT INTO item SELECT 'late', FINISH",
        "WITH w AS (INSERT INTO item VALUES ('late')) SELECT FINISH",
        "MERGE INTO item USING (SELECT FINISH AS f) AS s ON false WHEN NOT MATCHED THEN INSERT VALUES ('late', f)",
    ] {
        let database = database();
        let attempt = Attempt::admitted(&database);
        let mut session = psql(&database);
        does(&mut session, &attempt.begin());
        does(&mut session, INSERT);
        let close = attempt.close();
        does(&mut session, &close[0]);
        does(&mut session, &close[1]);
        let finish = close[2].strip_prefix("SELECT ").unwrap();
        refuses(&mut session, &statement.replace("FINISH", finish), "ZG007");
        drop(session);
        nothing_committed(&database);
    }
}

#[test]
fn a_cursor_over_a_statement_that_writes_is_counted_or_refused_when_it_is_fetched() {
    let database = database();
    let opens = "DO $$ DECLARE c refcursor := 'c'; BEGIN \
                 OPEN c FOR EXECUTE 'INSERT INTO item VALUES (''late'') RETURNING name'; END $$";
    let attempt = Attempt::admitted(&database);
    let mut session = psql(&database);
    does(&mut session, &attempt.begin());
    does(&mut session, INSERT);
    for closing in &attempt.close()[..2] {
        does(&mut session, closing);
    }
    does(&mut session, opens);
    does(&mut session, &attempt.close()[2]);
    refuses(&mut session, "FETCH ALL FROM c", "ZG007");
    drop(session);
    nothing_committed(&database);
}
