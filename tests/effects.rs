//! A phase has exactly the planned effects, as counted by the server, or is rolled back.

mod pipeline;
mod server;

use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, PhaseSpec, PhaseTx, Plan, Run,
    Simulate, Start, Switch, Ungated,
    error::{RefusalReason, RollbackCause, TableDiffers},
    plan::RowCounts,
    runner::ReadyRunner,
};
use phasegate::{Mode, Perform, connect::PostgresConnector, error::Rollback, testing};
use postgres::error::SqlState;
use serde::{Deserialize, Serialize};
use testing::{ApprovesEverything, ScriptedSwitch};

use server::{Database, PIPELINE, database, rollback};

/// A phase that is planned to change these tables so, give or take.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Change {
    planned: Vec<(String, [u64; 3])>,
    tolerance: u64,
}

impl PhaseSpec for Change {
    const NAME: &'static str = "change";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn summary(&self) -> String {
        format!("changes {} tables", self.planned.len())
    }

    fn tolerance(&self, _: &str) -> u64 {
        self.tolerance
    }
}

struct Predict;

impl Simulate<Change> for Predict {
    fn simulate(&mut self, change: &Change, (): (), effects: &mut Effects) -> Result<(), Failure> {
        for (table, [inserted, updated, deleted]) in &change.planned {
            effects
                .insert(table, *inserted)
                .update(table, *updated)
                .delete(table, *deleted);
        }
        Ok(())
    }
}

/// Performs what its closure says.
struct Does<F>(F);

impl<F: FnMut(&mut PhaseTx<'_>) -> Result<(), Failure>> Execute<Change> for Does<F> {
    fn execute(&mut self, _: &Change, (): (), tx: &mut PhaseTx<'_>) -> Result<(), Failure> {
        (self.0)(tx)
    }
}

fn changing<'run, M: Mode, W: Perform<M, Change>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    change: &Change,
) -> Result<(), Error> {
    run.phase(change.clone()).perform(on, Ungated, Start)?;
    Ok(())
}

impl Change {
    fn of(planned: &[(&str, [u64; 3])]) -> Self {
        let planned = planned
            .iter()
            .map(|(table, rows)| ((*table).to_owned(), *rows))
            .collect();
        Change {
            planned,
            tolerance: 0,
        }
    }

    fn give_or_take(self, tolerance: u64) -> Self {
        Change { tolerance, ..self }
    }

    fn plan(&self, database: &Database) -> Result<Plan, Error> {
        let dry = DryRunner::new(PIPELINE)
            .target(database.target.clone())
            .simulator(Predict)
            .run(|run, on| changing(run, on, self));
        dry.map(|planned| planned.plan)
    }

    fn live<W>(
        plan: Plan,
        database: &Database,
        adapter: W,
    ) -> ReadyRunner<ScriptedSwitch, ApprovesEverything, PostgresConnector, W> {
        LiveRunner::new(PIPELINE)
            .plan(plan)
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(database.connector())
            .adapter(adapter)
    }

    /// Performs it live, as `adapter` does.
    fn by(
        &self,
        database: &Database,
        adapter: impl FnMut(&mut PhaseTx<'_>) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        let plan = self.plan(database)?;
        database.admit(&plan);
        Change::live(plan, database, Does(adapter))
            .run(|run, on| changing(run, on, self))
            .map(phasegate::runner::LiveReport::into_value)
    }

    /// Performs it live by these statements.
    fn performed(&self, database: &Database, statements: &[&str]) -> Result<(), Error> {
        self.by(database, |tx| {
            for statement in statements {
                tx.execute(*statement, &[])?;
            }
            Ok(())
        })
    }

    /// Why an operator is not let admit it.
    #[track_caller]
    fn not_admitted(&self, database: &Database) -> String {
        let plan = self.plan(database).expect("a plan");
        let admitted = database.operator().admit_plan(&plan);
        admitted.expect_err("not admitted").to_string()
    }
}

/// What differs, as (table, planned, seen).
#[track_caller]
fn differing(rollback: &Rollback) -> Vec<(&str, Option<RowCounts>, RowCounts)> {
    let RollbackCause::EffectsDiffer(differ) = rollback.cause() else {
        panic!("{rollback}");
    };
    let differs = differ.tables().iter().filter(|table| table.differs());
    let row = |table: &'_ TableDiffers| (table.planned.map(|planned| planned.counts()), table.seen);
    differs
        .map(|table| (table.table.as_str(), row(table).0, row(table).1))
        .collect()
}

const ITEM: &str = "public.item";
const THREE: &str = "INSERT INTO item VALUES ('a'), ('b'), ('c')";

/// A database with three items in it.
fn three_items() -> Database {
    let database = database();
    database.sql(THREE);
    database
}

#[test]
fn a_phase_that_does_what_was_planned_is_committed() {
    let database = database();
    let planned = Change::of(&[(ITEM, [3, 1, 1])]);
    let statements = [
        THREE,
        "UPDATE item SET state = 'x' WHERE name = 'a'",
        "DELETE FROM item WHERE name = 'b'",
    ];
    planned.performed(&database, &statements).unwrap();
    assert_eq!(database.items_with_nulls().len(), 2);
}

#[test]
fn one_row_more_or_fewer_of_any_kind_is_rolled_back() {
    for (planned, statement, seen) in [
        ([3, 0, 0], "INSERT INTO item VALUES ('d'), ('e')", [2, 0, 0]),
        ([1, 0, 0], "INSERT INTO item VALUES ('d'), ('e')", [2, 0, 0]),
        ([0, 2, 0], "UPDATE item SET state = 'x'", [0, 3, 0]),
        ([0, 4, 0], "UPDATE item SET state = 'x'", [0, 3, 0]),
        ([0, 0, 2], "DELETE FROM item", [0, 0, 3]),
        ([0, 0, 4], "DELETE FROM item", [0, 0, 3]),
        // The right number of rows, and the wrong thing done to them.
        ([0, 3, 0], "DELETE FROM item", [0, 0, 3]),
    ] {
        let database = three_items();
        let before = database.items_with_nulls();
        let rollback = rollback(Change::of(&[(ITEM, planned)]).performed(&database, &[statement]));
        let counts =
            |[inserted, updated, deleted]: [u64; 3]| RowCounts::new(inserted, updated, deleted);
        let expected = (ITEM, Some(counts(planned)), counts(seen));
        assert_eq!(differing(&rollback), [expected], "{statement}");
        assert_eq!(database.items_with_nulls(), before);
        let text = rollback.to_string();
        assert!(text.contains("nothing of it remains"), "{text}");
        assert!(text.contains("  <-"), "{text}");
    }
}

#[test]
fn a_reviewed_script_with_the_wrong_ids_does_not_commit() {
    let database = database();
    database.sql(
        "CREATE TABLE site (id int PRIMARY KEY, deleted_at timestamptz); \
         INSERT INTO site SELECT g FROM generate_series(1, 883) AS g; \
         CREATE FUNCTION remove(ids int[], kind text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ \
         BEGIN \
           IF kind = 'app' THEN UPDATE public.site SET deleted_at = now() WHERE id = ANY (ids); \
           ELSE DELETE FROM public.site WHERE id = ANY (ids); END IF; \
         END $$; \
         SELECT phasegate.protect('site')",
    );
    let softly = Change::of(&[("public.site", [0, 883, 0])]);
    let ids = "(SELECT array_agg(g) FROM generate_series(1, 883) AS g)";
    let rollback =
        rollback(softly.performed(&database, &[&format!("SELECT remove({ids}, 'site')")]));
    let planned = RowCounts::new(0, 883, 0);
    let seen = RowCounts::new(0, 0, 883);
    assert_eq!(differing(&rollback), [("public.site", Some(planned), seen)]);
    let there = "SELECT count(*) FROM site WHERE deleted_at IS NULL";
    assert_eq!(database.ask::<i64>(there), 883);
}

#[test]
fn a_tolerance_holds_for_each_planned_kind_to_the_row() {
    let planned = || Change::of(&[(ITEM, [10, 5, 0])]).give_or_take(2);
    let run = |inserted: u32, updated: u32, deleted: u32| {
        let database = database();
        let statements = [
            format!("INSERT INTO item SELECT 'n' || g FROM generate_series(1, {inserted}) AS g"),
            format!("UPDATE item SET state = 'x' WHERE substr(name, 2)::int <= {updated}"),
            format!("DELETE FROM item WHERE substr(name, 2)::int <= {deleted}"),
        ];
        let statements: Vec<_> = statements.iter().map(String::as_str).collect();
        planned().performed(&database, &statements).is_ok()
    };
    for (inserted, updated) in [(10, 5), (8, 3), (12, 7), (8, 7)] {
        assert!(run(inserted, updated, 0), "{inserted} {updated}");
    }
    for (inserted, updated, deleted) in [(7, 5, 0), (13, 5, 0), (10, 2, 0), (10, 8, 0), (10, 5, 1)]
    {
        assert!(
            !run(inserted, updated, deleted),
            "{inserted} {updated} {deleted}"
        );
    }
}

#[test]
fn a_table_outside_the_plan_is_refused_under_guard_or_not() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE guarded (n int); SELECT phasegate.protect('guarded'); \
         CREATE TABLE bare (n int); GRANT INSERT ON guarded, bare TO {runner}"
    ));
    for table in ["guarded", "bare"] {
        let insert = format!("INSERT INTO {table} VALUES (1)");
        let planned = Change::of(&[(ITEM, [3, 0, 0])]).give_or_take(1000);
        let rollback = rollback(planned.performed(&database, &[THREE, &insert]));
        let name = format!("public.{table}");
        assert_eq!(
            differing(&rollback),
            [(&*name, None, RowCounts::new(1, 0, 0))]
        );
        assert!(
            rollback.to_string().contains("not in the plan"),
            "{rollback}"
        );
    }
    assert_eq!(database.items(), []);
}

#[test]
fn a_phase_that_was_planned_to_change_nothing_changes_nothing() {
    let database = database();
    let nothing = Change::of(&[]);
    nothing.performed(&database, &["SELECT 1"]).unwrap();
    let rollback = rollback(
        Change::of(&[])
            .give_or_take(5)
            .performed(&database, &[THREE]),
    );
    assert_eq!(
        differing(&rollback),
        [(ITEM, None, RowCounts::new(3, 0, 0))]
    );
}

#[test]
fn rows_that_a_savepoint_rolls_back_do_not_replace_missing_ones() {
    let database = database();
    let swallows = |tx: &mut PhaseTx<'_>| {
        for name in ["a", "b", "c"] {
            let one = tx.savepoint(|tx| {
                tx.execute("INSERT INTO item VALUES ($1)", &[&name])?;
                if name == "b" {
                    Err(Failure::new("not this one"))
                } else {
                    Ok(())
                }
            });
            assert_eq!(one.is_err(), name == "b");
        }
        Ok(())
    };
    let rollback = rollback(Change::of(&[(ITEM, [3, 0, 0])]).by(&database, swallows));
    let expected = (ITEM, Some(RowCounts::new(3, 0, 0)), RowCounts::new(2, 0, 0));
    assert_eq!(differing(&rollback), [expected]);
    Change::of(&[(ITEM, [2, 0, 0])])
        .by(&database, swallows)
        .unwrap();
}

#[test]
fn statement_guards_do_not_count_rows_of_a_failed_block() {
    let database = database();
    database.sql(
        "SELECT phasegate.protect('item', 'statements'); CREATE FUNCTION writes(names text[]) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ \
         DECLARE one text; done int := 0; BEGIN \
           FOREACH one IN ARRAY names LOOP \
             BEGIN INSERT INTO public.item VALUES (one); done := done + 1; \
             EXCEPTION WHEN unique_violation THEN NULL; END; \
           END LOOP; RETURN done; END $$",
    );
    // One of four is swallowed: the statistics of the server count it as the others.
    let statement = ["SELECT writes(ARRAY['a', 'b', 'a', 'c'])"];
    let four = Change::of(&[(ITEM, [4, 0, 0])]).performed(&database, &statement);
    let seen = RowCounts::new(3, 0, 0);
    let expected = (ITEM, Some(RowCounts::new(4, 0, 0)), seen);
    assert_eq!(differing(&rollback(four)), [expected]);
    Change::of(&[(ITEM, [3, 0, 0])])
        .performed(&database, &statement)
        .unwrap();
}

/// Counters are not rolled back, so such a phase is refused, with the table and the remedy.
#[test]
fn a_failed_block_under_counters_is_refused_with_its_table() {
    let database = database();
    database.sql(
        "CREATE TABLE other (n int); SELECT phasegate.protect('other'); \
         CREATE FUNCTION undoes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
           INSERT INTO public.other VALUES (1); \
           BEGIN INSERT INTO public.item VALUES ('a'), ('a'); \
           EXCEPTION WHEN unique_violation THEN NULL; END; \
           INSERT INTO public.other VALUES (2); END $$",
    );
    let planned = Change::of(&[("public.other", [2, 0, 0])]);
    let refused = rollback(planned.performed(&database, &["SELECT undoes()"]));
    let text = refused.to_string();
    let named = "a statement on public.item was undone, by an EXCEPTION block or a savepoint";
    assert!(text.contains(named), "{text}");
    let failure = refused.failure().expect("a failure");
    assert_eq!(failure.sqlstate().map(SqlState::code), Some("ZG006"));
    let remedy = "SELECT phasegate.protect('public.item', 'statements')";
    assert!(text.contains(remedy), "{text}");
    database.sql(remedy);
    planned.performed(&database, &["SELECT undoes()"]).unwrap();
}

#[test]
fn rows_that_cascade_over_several_statements_count_once_each() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE town (id int PRIMARY KEY); \
         CREATE TABLE street (id int PRIMARY KEY, town int REFERENCES town ON DELETE CASCADE ON UPDATE CASCADE); \
         CREATE TABLE house (street int REFERENCES street ON DELETE SET NULL); \
         INSERT INTO town SELECT g FROM generate_series(1, 5) AS g; \
         INSERT INTO street SELECT g, 1 + g % 5 FROM generate_series(1, 20) AS g; \
         INSERT INTO house SELECT 1 + g % 20 FROM generate_series(1, 60) AS g; \
         SELECT phasegate.protect(t) FROM unnest('{{town,street,house}}'::regclass[]) AS t; \
         GRANT SELECT, UPDATE, DELETE ON town TO {runner}"
    ));
    let planned = [
        ("public.town", [0, 1, 4]),
        ("public.street", [0, 4, 16]),
        ("public.house", [0, 48, 0]),
    ];
    Change::of(&planned)
        .performed(
            &database,
            &[
                "UPDATE town SET id = 99 WHERE id = 5",
                "DELETE FROM town WHERE id < 5",
            ],
        )
        .unwrap();
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM house WHERE street IS NULL"),
        48
    );
}

#[test]
fn rows_that_a_trigger_drops_or_a_rule_adds_are_counted() {
    let database = database();
    database.sql(
        "CREATE TABLE audit (name text); SELECT phasegate.protect('audit'); \
         CREATE FUNCTION leaves_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF NEW.name = 'b' THEN RETURN NULL; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER leaves_out BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION leaves_out(); \
         CREATE RULE audits AS ON DELETE TO item DO ALSO INSERT INTO public.audit VALUES (OLD.name); \
         GRANT SELECT ON item TO PUBLIC",
    );
    let planned = Change::of(&[(ITEM, [2, 0, 2]), ("public.audit", [2, 0, 0])]);
    planned
        .performed(&database, &[THREE, "DELETE FROM item"])
        .unwrap();
}

#[test]
fn rows_of_prepared_statements_cursors_and_queries_are_counted() {
    let database = three_items();
    let planned = Change::of(&[(ITEM, [2, 2, 3])]);
    let done = planned.by(&database, |tx| {
        tx.execute(
            "DECLARE c CURSOR FOR SELECT * FROM item ORDER BY name FOR UPDATE",
            &[],
        )?;
        tx.execute("FETCH c", &[])?;
        tx.execute("UPDATE item SET state = 'x' WHERE CURRENT OF c", &[])?;
        tx.execute("CLOSE c", &[])?;
        let update = tx.prepare("UPDATE item SET state = $1 WHERE name = 'b'")?;
        tx.execute(&update, &[&"y"])?;
        // Twice the same table in one statement.
        tx.execute(
            "WITH gone AS (DELETE FROM item RETURNING name), \
                  one AS (INSERT INTO item VALUES ('new') RETURNING name) \
             INSERT INTO item SELECT 'from ' || max(name) FROM gone",
            &[],
        )?;
        Ok(())
    });
    done.unwrap();
    assert_eq!(database.items_with_nulls().len(), 2);
}

#[test]
fn what_a_deferred_trigger_does_in_the_drain_counts_too() {
    let database = database();
    database.at_commit("UPDATE public.item SET state = 'late'");
    let planned = Change::of(&[(ITEM, [3, 0, 0])]);
    let rollback = rollback(planned.performed(&database, &[THREE]));
    let expected = (ITEM, Some(RowCounts::new(3, 0, 0)), RowCounts::new(3, 9, 0));
    assert_eq!(differing(&rollback), [expected]);
}

#[test]
fn a_plan_that_names_what_cannot_be_counted_is_not_admitted() {
    let database = database();
    database.sql(
        "CREATE TABLE bare (n int); CREATE VIEW seen AS SELECT 1; \
         CREATE TABLE sale (year int) PARTITION BY LIST (year); \
         CREATE TABLE sale_1 PARTITION OF sale FOR VALUES IN (1); \
         SELECT phasegate.protect('sale'); \
         CREATE TABLE part (year int) PARTITION BY LIST (year); SELECT phasegate.protect('part'); \
         CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)",
    );
    for (table, why) in [
        ("public.bare", "not under guard"),
        ("public.part", "not under guard"),
        ("public.gone", "no such table"),
        ("public.seen", "no such table"),
        ("nowhere.item", "no such table"),
        ("public.sale_1", "partition of public.sale"),
        ("public.\"item\"", "no such table"),
    ] {
        let said = Change::of(&[(table, [1, 0, 0])]).not_admitted(&database);
        assert!(
            said.contains(why) && said.contains(table),
            "{table}: {said}"
        );
    }
    database.sql("SELECT phasegate.protect('part')");
    let part = Change::of(&[("public.part", [1, 0, 0])])
        .plan(&database)
        .unwrap();
    let _ = database.operator().admit_plan(&part).unwrap();
}

#[test]
fn a_later_partition_without_a_guard_refuses_the_phase() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE sale (year int) PARTITION BY LIST (year); \
         CREATE TABLE sale_1 PARTITION OF sale FOR VALUES IN (1); \
         SELECT phasegate.protect('sale'); GRANT INSERT ON sale TO {runner}"
    ));
    let planned = Change::of(&[("public.sale", [1, 0, 0])]);
    let plan = planned.plan(&database).unwrap();
    database.admit(&plan);
    database.sql("CREATE TABLE sale_2 PARTITION OF sale FOR VALUES IN (2)");
    let run = |plan: &Plan| {
        let adapter = Does(|tx: &mut PhaseTx<'_>| {
            tx.execute("INSERT INTO sale VALUES (2)", &[])?;
            Ok(())
        });
        Change::live(plan.clone(), &database, adapter).run(|run, on| changing(run, on, &planned))
    };
    let refused = server::refusal(run(&plan));
    assert!(
        matches!(refused.reason(), RefusalReason::NotOpened(_)),
        "{refused}"
    );
    let said = refused.to_string();
    for part in [
        "the rows of public.sale_2, a part of public.sale",
        "SELECT phasegate.protect('public.sale')",
    ] {
        assert!(said.contains(part), "{said}");
    }
    database.sql("SELECT phasegate.protect('sale')");
    let _ = run(&plan).unwrap();
}

#[test]
fn effects_on_no_valid_table_name_are_refused_in_the_dry_run() {
    let database = database();
    for table in [
        "item",
        "",
        "public.Item",
        "public.item; DROP TABLE item",
        "a.b.c",
    ] {
        let refused = Change::of(&[(table, [1, 0, 0])]).plan(&database);
        let refused = server::refusal(refused);
        let RefusalReason::PlanFlawed { flaw } = refused.reason() else {
            panic!("{table}: {refused:?}");
        };
        assert_eq!(refused.phase(), Some("change"));
        assert!(flaw.contains("is not the name of a table"), "{flaw}");
    }
}

#[test]
fn a_phase_that_was_counted_leaves_no_count_behind() {
    let database = database();
    Change::of(&[(ITEM, [3, 0, 0])])
        .performed(&database, &[THREE])
        .unwrap();
    // Neither does an administrator, who changes the same table outside of any phase.
    database.sql("DELETE FROM item");
    let _ = Change::of(&[(ITEM, [9, 0, 0])]).performed(&database, &[THREE]);
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.counted"),
        0
    );
}

#[test]
fn the_runner_can_neither_write_nor_change_the_counts() {
    let database = database();
    for (statement, code) in [
        ("SELECT phasegate.count_rows()", "0A000"),
        ("DELETE FROM phasegate.counted", "42501"),
        (
            "INSERT INTO phasegate.counted SELECT pg_current_xact_id(), 'item'::regclass, 0, 0, -3",
            "42501",
        ),
        ("SELECT phasegate.effects()", "42501"),
        ("SELECT phasegate.seen_effects()", "42501"),
        (
            "SELECT phasegate.ensure_planned_effects('', 1, '{}')",
            "42501",
        ),
        ("SELECT phasegate.begin_counting('{}')", "42501"),
        ("SELECT phasegate.end_counting()", "42501"),
        ("SELECT phasegate.before_savepoint()", "ZG001"),
        ("SELECT phasegate.after_rollback()", "ZG001"),
        ("ALTER TABLE item DISABLE TRIGGER phasegate_guard", "42501"),
        ("DROP TRIGGER phasegate_guard ON item", "42501"),
    ] {
        let refused = Change::of(&[]).performed(&database, &[statement]);
        let rollback = rollback(refused);
        let said = rollback
            .failure()
            .and_then(Failure::sqlstate)
            .map(SqlState::code);
        assert_eq!(said, Some(code), "{statement}: {rollback}");
    }
}

#[test]
fn replicas_role_does_not_keep_rows_from_being_counted() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "ALTER ROLE {runner} SET session_replication_role = replica"
    ));
    let rollback = rollback(Change::of(&[(ITEM, [1, 0, 0])]).performed(&database, &[THREE]));
    let expected = (ITEM, Some(RowCounts::new(1, 0, 0)), RowCounts::new(3, 0, 0));
    assert_eq!(differing(&rollback), [expected]);
}

/// The plan has the number of rows, but neither which rows nor their new values, as README says.
#[test]
fn another_program_with_equal_numbers_commits() {
    let database = database();
    database.sql("INSERT INTO item VALUES ('a', 'draft'), ('b', 'draft')");
    let change = Change::of(&[("public.item", [0, 1, 0])]);
    // The approvers had in mind that `a` is done.
    change
        .performed(
            &database,
            &["UPDATE item SET state = 'lost' WHERE name = 'b'"],
        )
        .unwrap();
    let lost = "SELECT count(*) FROM item WHERE (name, state) = ('b', 'lost')";
    assert_eq!(database.ask::<i64>(lost), 1);
}

#[test]
fn rows_moved_to_a_partition_that_drops_them_count_as_deleted() {
    let database = database();
    let runner = database.runner.name();
    database.sql(&format!(
        "CREATE TABLE part (k int, n int) PARTITION BY LIST (k); \
         CREATE TABLE part_0 PARTITION OF part FOR VALUES IN (0); \
         CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1) PARTITION BY LIST (n); \
         CREATE TABLE part_1_all PARTITION OF part_1 DEFAULT; \
         CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2); \
         CREATE FUNCTION drops() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER drops BEFORE INSERT ON part_1_all FOR EACH ROW EXECUTE FUNCTION drops(); \
         INSERT INTO part SELECT 0, n FROM generate_series(1, 10) AS n; \
         SELECT phasegate.protect('part'); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON part TO {runner}"
    ));
    let moves = "UPDATE part SET k = CASE WHEN n <= 3 THEN 1 ELSE 2 END WHERE n <= 5";
    let counts = |planned: [u64; 3]| Change::of(&[("public.part", planned)]);
    for wrong in [counts([0, 5, 0]), counts([0, 2, 0]), Change::of(&[])] {
        let rolled_back = rollback(wrong.performed(&database, &[moves]));
        let RollbackCause::EffectsDiffer(differ) = rolled_back.cause() else {
            panic!("{rolled_back}");
        };
        let seen = differ.tables()[0].seen;
        assert_eq!((seen.inserted, seen.updated, seen.deleted), (2, 0, 5));
    }
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM part"), 10);
    counts([2, 0, 5]).performed(&database, &[moves]).unwrap();
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM part"), 7);
    // Counted by statements, a row that arrives is updated.
    database.sql("UPDATE part SET k = 0; SELECT phasegate.protect('part', 'statements')");
    let moves = "UPDATE part SET k = CASE WHEN n <= 7 THEN 1 ELSE 2 END WHERE n <= 8";
    counts([0, 1, 4]).performed(&database, &[moves]).unwrap();
    assert_eq!(database.ask::<i64>("SELECT count(*) FROM part"), 3);
}
