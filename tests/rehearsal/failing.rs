//! A phase of a rehearsal that fails names its row, leaves nothing, and the pipeline may go on; and
//! nothing of one phase's session reaches the next.

use std::panic::{AssertUnwindSafe, catch_unwind};

use phasegate::{Attempt, Failure, PhaseTx, Start, error::RollbackCause};

use crate::pipeline::{Adapter, Draft, pipeline};
use crate::server::{database, does, rollback};
use crate::{Each, INSERT, draft_by, next, nothing_remains, rehearsal, rehearsal_through};

#[test]
fn a_failure_at_row_k_names_row_k_as_a_live_run_does() {
    let database = database();
    let draft = Draft::of(&["a", "b", "c", "b"]);
    let rehearsed = rehearsal(&database, Adapter).run(|run, on| pipeline(run, on, draft.clone()));
    let rehearsed = rollback(rehearsed);
    let plan = database.plan(&draft);
    let live = database.live(plan).run(|run, on| pipeline(run, on, draft));
    let live = rollback(live);
    assert_eq!(rehearsed.row(), live.row());
    assert_eq!(
        rehearsed.row().map(|row| (row.ordinal(), row.key())),
        Some((4, "b"))
    );
    assert_eq!(
        rehearsed.to_string(),
        live.to_string().replace("(live)", "(rehearsal)")
    );
    nothing_remains(&database);
}

#[test]
fn after_a_failed_phase_the_pipeline_goes_on_without_its_rows() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let rows = tx.execute(INSERT, &[&number.to_string()])?;
        if number == 2 {
            tx.execute("SELECT 1 / 0", &[])?;
        }
        let seen: i64 = tx.query_one("SELECT count(*) FROM item", &[])?.get(0);
        assert_eq!(seen, if number == 1 { 1 } else { 2 });
        Ok(rows)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 1)?;
        rollback(next(run, on, 2));
        next(run, on, 3).map(drop)
    });
    let names: Vec<_> = rehearsed
        .unwrap()
        .phases
        .into_iter()
        .map(|phase| phase.name)
        .collect();
    assert_eq!(names, ["part[1]", "part[3]"]);
    nothing_remains(&database);
}

#[test]
fn a_phase_that_failed_comes_back_and_can_be_tried_again() {
    let database = database();
    let mut tries = 0;
    let adapter = does(|_, tx: &mut PhaseTx<'_>| {
        tries += 1;
        tx.execute(INSERT, &[&"a"])?;
        match tries {
            1 => Err(Failure::new("not yet")),
            _ => Ok(1),
        }
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        let sg1 = run.approval()?;
        match run.phase(Draft::of(&["a"])).attempt(on, sg1, Start) {
            Attempt::RolledBack { phase, .. } => Ok(run.perform(phase)?.into_output()),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(rehearsed.unwrap().value, 1);
    nothing_remains(&database);
}

#[test]
fn a_dropped_failure_and_a_caught_panic_fail_the_phase_as_live() {
    let database = database();
    let answer = draft_by(&database, |_, tx| {
        assert!(tx.execute("SELECT 1 / 0", &[]).is_err());
        Ok(1)
    });
    let dropped = rollback(answer);
    assert!(
        matches!(dropped.cause(), RollbackCause::Swallowed { statement: Some(said) } if said.contains("division")),
        "{dropped}"
    );
    let answer = draft_by(&database, |_, tx| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            tx.savepoint(|tx| -> Result<(), Failure> {
                tx.execute(INSERT, &[&"half"])?;
                panic!("half way")
            })
        }));
        assert!(caught.is_err());
        Ok(1)
    });
    let open = rollback(answer);
    assert!(
        matches!(open.cause(), RollbackCause::SavepointLeftOpen),
        "{open}"
    );
    nothing_remains(&database);
}

#[test]
fn truncate_and_ddl_are_refused_and_the_rehearsal_goes_on() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE unguarded (n int); INSERT INTO unguarded VALUES (1), (2); \
         GRANT ALL ON unguarded TO {0}; GRANT TRUNCATE ON item TO {0}; \
         CREATE FUNCTION ddl() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
           ALTER TABLE public.unguarded ADD COLUMN m int; END $$",
        database.runner.name()
    ));
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let sql = [
            "TRUNCATE unguarded",
            "TRUNCATE item",
            "SELECT ddl()",
            "DELETE FROM unguarded",
        ][number];
        tx.execute(sql, &[])?;
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        for number in 0..3 {
            let rollback = rollback(next(run, on, number));
            let code = rollback.failure().and_then(Failure::sqlstate);
            assert_eq!(
                code.map(postgres::error::SqlState::code),
                Some("ZG006"),
                "{rollback}"
            );
        }
        let deleted = next(run, on, 3)?;
        assert_eq!(
            deleted.rehearsed().effects.of("public.unguarded").deleted,
            2
        );
        Ok(())
    });
    rehearsed.unwrap();
    let left: i64 = database.ask("SELECT count(*) FROM unguarded");
    assert_eq!(left, 2);
    nothing_remains(&database);
}

#[test]
fn a_cursor_with_hold_is_refused_as_live() {
    let database = database();
    let answer = draft_by(&database, |_, tx| {
        Ok(tx.execute("DECLARE c CURSOR WITH HOLD FOR SELECT 1", &[])?)
    });
    let rollback = rollback(answer);
    let code = rollback.failure().and_then(Failure::sqlstate);
    assert_eq!(
        code.map(postgres::error::SqlState::code),
        Some("ZG005"),
        "{rollback}"
    );
}

#[test]
fn what_a_phase_leaves_in_its_session_does_not_reach_the_next() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE ROLE {runner}_2 NOLOGIN; GRANT {runner}_2 TO {runner}; CREATE SEQUENCE s; GRANT ALL ON s TO {runner}; \
         GRANT phasegate_runner TO {runner}_2; ALTER ROLE {runner} SET work_mem = '5MB'",
    ));
    let mut seen = Vec::new();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let state = tx.query_one(
            "SELECT concat_ws(' ', current_user = session_user, current_setting('search_path'), \
               current_setting('work_mem'), current_setting('mine.own', true), \
               (SELECT count(*) FROM pg_cursors), \
               (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))",
            &[],
        )?;
        let state: String = state.get(0);
        seen.push(state);
        let moved = tx.savepoint(|tx| Ok(tx.query_one("SELECT currval('s')", &[])?));
        assert!(moved.is_err(), "{number}");
        for said in [
            "SELECT nextval('s'), pg_advisory_lock(7)",
            "SET search_path = phasegate",
            "SET work_mem = '77MB'",
            "SET mine.own = 'x'",
            "DECLARE c CURSOR FOR SELECT 1",
            &format!("SET ROLE {runner}_2"),
        ] {
            tx.execute(said, &[])?;
        }
        match number {
            1 => Err(Failure::new("also when it fails")),
            _ => Ok(1),
        }
    });
    rehearsal(&database, adapter)
        .run(|run, on| {
            next(run, on, 0)?;
            assert!(next(run, on, 1).is_err());
            next(run, on, 2)?;
            Ok(())
        })
        .unwrap();
    database.sql(&format!("DROP OWNED BY {runner}_2; DROP ROLE {runner}_2"));
    assert!(seen[0].starts_with("t \"$user\", public 5MB"), "{seen:?}");
    // A custom setting is empty, and not unknown, once it was set.
    let as_new = seen[0].replace("5MB 1", "5MB  1");
    assert!(seen[1..].iter().all(|later| *later == as_new), "{seen:?}");
    nothing_remains(&database);
}

#[test]
fn settings_that_the_connector_made_are_there_in_every_phase() {
    let database = database();
    let mut seen = Vec::new();
    let adapter = Each(|_, tx: &mut PhaseTx<'_>| {
        let setting: String = tx.query_one("SHOW work_mem", &[])?.get(0);
        seen.push(setting);
        tx.execute("SET work_mem = '9MB'", &[])?;
        Ok(1)
    });
    let connector = crate::Sets(database.runner.config(), "SET work_mem = '7MB'");
    rehearsal_through(connector, adapter)
        .run(|run, on| {
            next(run, on, 0)?;
            next(run, on, 1)?;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, ["7MB", "7MB"]);
}
