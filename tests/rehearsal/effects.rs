//! What a rehearsal reports: what a live run would have done, measured.

use phasegate::{
    Failure, Phase, PhaseTx, Plan, Start, Ungated,
    audit::Journal,
    plan::{EffectsSource, RowCounts},
};

use crate::pipeline::{Adapter, Draft, pipeline};
use crate::server::{Database, all, database};
use crate::{Each, INSERT, Numbered, draft_by, next, nothing_remains, rehearsal};

#[test]
fn each_phase_sees_earlier_writes_and_nothing_remains() {
    let database = database();
    let draft = Draft::of(&["a", "b", "c"]);
    let rehearsed = rehearsal(&database, Adapter).run(|run, on| pipeline(run, on, draft.clone()));
    let rehearsed = rehearsed.unwrap();
    assert_eq!(rehearsed.value, 3);
    assert_eq!(rehearsed.plan.target(), &database.target);
    let names: Vec<_> = rehearsed.phases.iter().map(|phase| &*phase.name).collect();
    assert_eq!(names, ["draft", "check", "enact", "publish"]);
    nothing_remains(&database);
}

/// A table and a partitioned one, which triggers of `item` write, at once and late.
fn triggers(database: &Database) {
    database.sql(&format!(
        "CREATE TABLE log (of text, at timestamptz DEFAULT now()); \
         CREATE TABLE part (n int) PARTITION BY RANGE (n); \
         CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9); \
         GRANT INSERT ON log TO {0}; GRANT INSERT ON part TO {0}; \
         CREATE FUNCTION logs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           INSERT INTO public.log VALUES (tg_op); INSERT INTO public.part VALUES (1); RETURN NULL; END $$; \
         CREATE TRIGGER logs AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION logs(); \
         CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON item DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION logs()",
        database.runner.name()
    ));
}

#[test]
fn the_effects_equal_those_in_the_journal_of_a_live_run() {
    let database = database();
    triggers(&database);
    database.sql("SELECT phasegate.protect('log'); SELECT phasegate.protect('part')");
    let draft = Draft::of(&["a", "b", "c"]);
    let rehearsed = rehearsal(&database, Adapter)
        .author("ada")
        .run(|run, on| pipeline(run, on, draft.clone()))
        .unwrap();
    nothing_remains(&database);
    let plan = rehearsed.plan;
    let dry = database.plan(&draft);
    let inputs = |plan: &Plan| -> Vec<_> {
        let phases = plan.phases().iter();
        phases
            .map(|phase| {
                (
                    phase.name().to_owned(),
                    phase.input(),
                    phase.gates().to_vec(),
                    phase.after().to_vec(),
                )
            })
            .collect()
    };
    assert_eq!(inputs(&plan), inputs(&dry));
    assert_eq!(
        (plan.made_by(), plan.author()),
        (EffectsSource::Measurement, Some("ada"))
    );
    assert_eq!(Plan::from_saved(plan.bytes(), plan.digest()).unwrap(), plan);

    let live = database.live(plan.clone());
    let live = live.run(|run, on| pipeline(run, on, draft));
    assert_eq!(live.unwrap().value, 3);
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    let journalled: Vec<_> = (journal.verify().unwrap().into_iter())
        .map(|entry| (entry.phase, entry.effects))
        .collect();
    let measured: Vec<_> = (rehearsed.phases.iter())
        .map(|phase| (phase.name.clone(), phase.effects.clone()))
        .collect();
    assert_eq!(measured, journalled);
    let enact = &measured[2].1;
    assert_eq!(enact.of("public.item").updated, 3);
    assert_eq!(enact.of("public.log").inserted, 6);
    assert_eq!(enact.of("public.part").inserted, 6);
    assert!(
        rehearsed
            .phases
            .iter()
            .all(|phase| phase.unguarded.is_empty())
    );
    assert_eq!(database.items(), all(&["a", "b", "c"], "published"));
}

#[test]
fn a_prebuilt_or_erased_phase_is_rehearsed_like_any_other() {
    let database = database();
    let adapter =
        Each(|number: usize, tx: &mut PhaseTx<'_>| Ok(tx.execute(INSERT, &[&number.to_string()])?));
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        let built = Phase::new(Numbered { number: 1 }, on, Ungated, Start);
        let erased = Phase::new(Numbered { number: 2 }, on, Ungated, Start).erase();
        run.perform(built)?;
        erased.perform(run)
    });
    let rehearsed = rehearsed.unwrap();
    assert!(
        rehearsed
            .phases
            .iter()
            .all(|phase| phase.effects.of("public.item").inserted == 1)
    );
    assert_eq!(rehearsed.plan.phases().len(), 2);
    nothing_remains(&database);
}

#[test]
fn a_table_that_is_not_under_guard_is_named_as_that() {
    let database = database();
    triggers(&database);
    let draft = Draft::of(&["a"]);
    let rehearsed = rehearsal(&database, Adapter).run(|run, on| pipeline(run, on, draft.clone()));
    let rehearsed = rehearsed.unwrap();
    let enact = &rehearsed.phases[2];
    assert_eq!(enact.effects.of("public.log").inserted, 2);
    assert_eq!(enact.unguarded, ["public.log", "public.part"]);
    let refused = database.operator().admit_plan(&rehearsed.plan).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("public.log, which is not under guard"),
        "{refused}"
    );
    assert!(
        rehearsed.to_string().contains(
            "public.log: inserted 1 (not under guard, so that the plan is not admitted yet)"
        ),
        "{rehearsed}"
    );
}

#[test]
fn rows_that_a_savepoint_rolls_back_are_not_counted() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        for name in ["a", "b"] {
            let name = format!("{name}{number}");
            let _ = tx.savepoint(|tx| -> Result<(), Failure> {
                tx.execute(INSERT, &[&name])?;
                Err(Failure::new("try another"))
            });
        }
        Ok(tx.execute(INSERT, &[&number.to_string()])?)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 1)?;
        next(run, on, 2)?;
        Ok(())
    });
    for phase in rehearsed.unwrap().phases {
        assert_eq!(
            phase.effects.of("public.item"),
            RowCounts::new(1, 0, 0),
            "{phase}"
        );
    }
}

#[test]
fn what_a_failed_phase_wrote_is_not_counted_for_the_next() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE plain (n int); GRANT ALL ON plain TO {}",
        database.runner.name()
    ));
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        for name in ["a", "b", "c"].iter().take(number) {
            tx.execute(INSERT, &[name])?;
            tx.execute("INSERT INTO plain VALUES (1)", &[])?;
        }
        if number == 3 {
            return Err(Failure::new("three are too many"));
        }
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        assert!(next(run, on, 3).is_err());
        let one = next(run, on, 1)?;
        assert_eq!(one.rehearsed().effects.of("public.item").inserted, 1);
        Ok(())
    });
    let rehearsed = rehearsed.unwrap();
    let effects = &rehearsed.phases[0].effects;
    assert_eq!(effects.of("public.item").inserted, 1);
    assert_eq!(effects.of("public.plain").inserted, 1);
    assert_eq!(rehearsed.failed[0].name, "part[3]");
    nothing_remains(&database);
}

#[test]
fn a_sequence_that_moved_is_named_and_one_that_did_not_is_not() {
    let database = database();
    database.sql(&format!(
        "CREATE SEQUENCE moved; CREATE SEQUENCE by_setval; CREATE SEQUENCE still; CREATE TABLE numbered (id serial); \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {0}; GRANT INSERT ON numbered TO {0}",
        database.runner.name()
    ));
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| {
        let sql = [
            "SELECT nextval('moved')",
            "INSERT INTO numbered DEFAULT VALUES",
            "SELECT setval('by_setval', 7), (SELECT last_value FROM still)",
        ][number];
        tx.execute(sql, &[])?;
        if number == 2 {
            return Err(Failure::new("moved all the same"));
        }
        Ok(1)
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 0)?;
        next(run, on, 1)?;
        assert!(next(run, on, 2).is_err());
        Ok(())
    });
    let rehearsed = rehearsed.unwrap();
    assert_eq!(rehearsed.phases[0].sequences, ["public.moved"]);
    assert_eq!(rehearsed.phases[1].sequences, ["public.numbered_id_seq"]);
    assert_eq!(rehearsed.failed[0].sequences, ["public.by_setval"]);
    let moved: i64 =
        database.ask("SELECT (SELECT last_value FROM moved) + (SELECT last_value FROM by_setval)");
    assert_eq!(moved, 1 + 7, "sequences are not rolled back");
    nothing_remains(&database);
}

#[test]
fn the_strongest_lock_on_each_table_is_named() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE read (n int); CREATE TABLE locked (n int); GRANT ALL ON read, locked TO {}",
        database.runner.name()
    ));
    let rehearsed = draft_by(&database, |_, tx| {
        tx.execute("SELECT * FROM read", &[])?;
        tx.execute("LOCK TABLE locked IN ROW SHARE MODE", &[])?;
        tx.execute("LOCK TABLE locked IN EXCLUSIVE MODE", &[])?;
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    let locks = rehearsed.unwrap().phases.remove(0).locks;
    let locks: Vec<_> = locks
        .iter()
        .map(|(table, mode)| (&**table, &**mode))
        .collect();
    assert_eq!(
        locks,
        [
            ("public.item", "RowExclusiveLock"),
            ("public.locked", "ExclusiveLock"),
            ("public.read", "AccessShareLock"),
        ]
    );
}

#[test]
fn a_person_can_read_the_report() {
    let database = database();
    let adapter = Each(|number: usize, tx: &mut PhaseTx<'_>| match number {
        1 => Ok(tx.execute(INSERT, &[&"a"])?),
        2 => Ok(tx.query("SELECT 1", &[])?.len() as u64),
        _ => Err(Failure::new("no such part").at_row(4, "d")),
    });
    let rehearsed = rehearsal(&database, adapter).run(|run, on| {
        next(run, on, 1)?;
        next(run, on, 2)?;
        assert!(next(run, on, 3).is_err());
        Ok(())
    });
    let rehearsed = rehearsed.unwrap();
    let took: Vec<_> = (rehearsed.phases.iter())
        .map(|phase| phase.took.as_millis())
        .collect();
    let report = rehearsed.to_string();
    let target = &database.target;
    assert_eq!(
        report,
        format!(
            "rehearsal of `small` in {target}\n\
             \x20 part[1] ({} ms)\n\
             \x20   public.item: inserted 1\n\
             \x20   locked public.item (RowExclusiveLock)\n\
             \x20 part[2] ({} ms)\n\
             \x20   changed no row\n\
             \x20 part[3]\n\
             \x20   FAILED: phase `part[3]` (rehearsal) failed at row 4 (d): no such part; nothing of it remains\n\
             Everything was rolled back. What a rollback does not undo: sequences that were moved; that others had to wait for \
             the locks, those on single rows included; and whatever left the database (another connection, a file, a mail).",
            took[0], took[1]
        )
    );
}

/// It does not wait for a lock for long, since others would queue behind it.
#[test]
fn a_rehearsal_gives_way_to_other_sessions() {
    let database = database();
    let adapter = Each(|_: usize, tx: &mut PhaseTx<'_>| {
        let limit: String = tx
            .query_one("SELECT current_setting('lock_timeout')", &[])?
            .get(0);
        assert_eq!(limit, "1s");
        Ok(tx.execute(INSERT, &[&"a"])?)
    });
    let mut other = database.admin();
    let mut holds = other.transaction().unwrap();
    holds.batch_execute("LOCK TABLE item").unwrap();
    let rehearsed = rehearsal(&database, adapter).run(|run, on| next(run, on, 1).map(drop));
    let failed = rehearsed.unwrap_err().to_string();
    assert!(failed.contains("lock timeout"), "{failed}");
}
