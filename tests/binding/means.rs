//! A plan is refused once a table, view or function that its rehearsal used has another definition.

use phasegate::error::RefusalReason;
use phasegate::{Failure, PhaseTx, Plan};

use crate::pipeline::Draft;
use crate::server::{Database, all, database, refusal};
use crate::{inserts, live, rehearsed};

/// A table with triggers, and functions that a phase calls: one by another, one that is inlined.
fn furnished() -> Database {
    let database = database();
    database.sql(&format!(
        "CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO PUBLIC; \
         CREATE TABLE shop.note (of text, at timestamptz DEFAULT now()); \
         SELECT phasegate.protect('shop.note'); GRANT INSERT ON shop.note TO {0}; \
         CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN INSERT INTO shop.note VALUES (NEW.name); RETURN NEW; END $$; \
         CREATE TRIGGER touch AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION shop.touch(); \
         CREATE FUNCTION shop.inner_f(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$; \
         CREATE FUNCTION shop.outer_f(text) RETURNS text LANGUAGE plpgsql AS \
           $$ BEGIN EXECUTE 'SELECT shop.in' || 'ner_f($1)' USING $1; RETURN $1; END $$; \
         CREATE FUNCTION shop.inlined(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
         CREATE FUNCTION shop.unused() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION shop.step(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1 + $2; END $$; \
         CREATE AGGREGATE shop.total(int) (SFUNC = shop.step, STYPE = int, INITCOND = '0'); \
         CREATE FUNCTION shop.of_view(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)'; \
         CREATE DOMAIN shop.code AS text CHECK (VALUE <> ''); \
         CREATE TYPE shop.kind AS ENUM ('small', 'large'); \
         CREATE TABLE shop.country (code shop.code PRIMARY KEY, currency text, kind shop.kind); \
         CREATE VIEW shop.currencies AS SELECT shop.of_view(currency) AS currency FROM shop.country; \
         GRANT SELECT ON shop.country, shop.currencies TO {0}; \
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA shop TO PUBLIC",
        database.runner.name()
    ));
    database
}

fn adapter(draft: &Draft, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    tx.query(
        "SELECT shop.outer_f('x'), shop.INLINED('y'), shop.total(1)",
        &[],
    )?;
    tx.query("SELECT * FROM shop.currencies", &[])?;
    inserts(draft, tx)
}

fn plan(database: &Database, draft: &Draft) -> Plan {
    rehearsed(database, draft, adapter)
}

#[test]
fn a_plan_names_what_the_rehearsal_used_and_nothing_else() {
    let database = furnished();
    let plan = plan(&database, &Draft::of(&["a"]));
    let means = plan.means().expect("they are known");
    assert!(means.has_all_functions());
    let names: Vec<_> = means.objects().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "aggregate shop.total(integer)",
            "function shop.inlined(text)",
            "function shop.inner_f(text)",
            "function shop.of_view(text)",
            "function shop.outer_f(text)",
            "function shop.step(integer,integer)",
            "function shop.touch()",
            "table public.item",
            "table shop.country",
            "table shop.note",
            "view shop.currencies",
        ]
    );
    assert!(plan.to_string().contains(
        "uses, as they were: aggregate shop.total(integer), function shop.inlined(text), "
    ));
}

/// Each change of a definition, with the name that the refusal has.
const CHANGES: [(&str, &str); 22] = [
    (
        "ALTER TABLE shop.note ALTER at SET DEFAULT 'epoch'",
        "table shop.note",
    ),
    ("ALTER TABLE shop.note ADD more int", "table shop.note"),
    (
        "ALTER TABLE item ALTER state TYPE varchar",
        "table public.item",
    ),
    (
        "ALTER TABLE item ADD CHECK (name <> 'z')",
        "table public.item",
    ),
    (
        "ALTER TABLE item ALTER state SET NOT NULL",
        "table public.item",
    ),
    (
        "ALTER TABLE item DISABLE TRIGGER touch",
        "table public.item",
    ),
    (
        "CREATE RULE more AS ON INSERT TO shop.country DO ALSO NOTHING",
        "table shop.country",
    ),
    (
        "ALTER TABLE shop.country ENABLE ROW LEVEL SECURITY",
        "table shop.country",
    ),
    (
        "CREATE POLICY own ON shop.country USING (code = 'DE')",
        "table shop.country",
    ),
    (
        "CREATE OR REPLACE VIEW shop.currencies AS SELECT upper(shop.of_view(currency)) AS currency FROM shop.country",
        "view shop.currencies",
    ),
    (
        "CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS \
           $$ BEGIN INSERT INTO shop.note VALUES ('other'); RETURN NEW; END $$",
        "function shop.touch()",
    ),
    (
        "ALTER FUNCTION shop.inner_f SET work_mem = '8MB'",
        "function shop.inner_f(text)",
    ),
    (
        "ALTER FUNCTION shop.outer_f SECURITY DEFINER",
        "function shop.outer_f(text)",
    ),
    (
        "ALTER FUNCTION shop.inlined STRICT",
        "function shop.inlined(text)",
    ),
    ("DROP FUNCTION shop.inlined", "function shop.inlined(text)"),
    (
        "ALTER FUNCTION shop.inner_f RENAME TO other",
        "function shop.inner_f(text)",
    ),
    (
        "CREATE OR REPLACE FUNCTION shop.step(int, int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$",
        "function shop.step(integer,integer)",
    ),
    (
        "CREATE OR REPLACE FUNCTION shop.of_view(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
        "function shop.of_view(text)",
    ),
    (
        "ALTER DOMAIN shop.code DROP CONSTRAINT code_check",
        "table shop.country",
    ),
    (
        "ALTER TYPE shop.kind RENAME VALUE 'small' TO 'tiny'",
        "table shop.country",
    ),
    ("CREATE UNIQUE INDEX ON item (state)", "table public.item"),
    (
        "CREATE TRIGGER more BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION shop.touch()",
        "table public.item",
    ),
];

#[test]
fn each_change_is_found_and_named() {
    let database = furnished();
    let plan = plan(&database, &Draft::of(&["a"]));
    let mut admin = database.admin();
    for (change, object) in CHANGES {
        let mut tx = admin.transaction().unwrap();
        tx.batch_execute(change).expect(change);
        let row = tx.query_one(
            "SELECT phasegate.changed_means(means) FROM phasegate.plan WHERE plan = $1",
            &[&plan.digest().as_bytes().as_slice()],
        );
        assert_eq!(row.unwrap().get::<_, Vec<String>>(0), [object], "{change}");
    }
}

#[test]
fn a_changed_function_refuses_the_run_by_its_name() {
    let database = furnished();
    let draft = Draft::of(&["a"]);
    let plan = plan(&database, &draft);
    let (change, object) = CHANGES
        .into_iter()
        .find(|(_, object)| *object == "function shop.touch()")
        .unwrap();
    database.sql(change);
    let refusal = refusal(live(&database, &plan, &draft, adapter));
    match refusal.reason() {
        RefusalReason::MeansChanged { objects } => assert_eq!(objects, &[object]),
        other => panic!("{other:?}"),
    }
    assert_eq!(refusal.code(), "means_changed");
    assert!(refusal.hint().unwrap().contains("rehearse again"));
    assert_eq!(database.items(), []);
}

#[test]
fn what_changes_no_meaning_refuses_nothing() {
    let database = furnished();
    let draft = Draft::of(&["a"]);
    let plan = plan(&database, &draft);
    for change in [
        "ANALYZE",
        "VACUUM",
        "CREATE INDEX ON item (state)",
        "CREATE INDEX ON shop.note (of)",
        "GRANT SELECT ON shop.note TO PUBLIC",
        "INSERT INTO shop.country VALUES ('DE', 'EUR')",
        "ALTER TABLE item SET (fillfactor = 70)",
        "COMMENT ON TABLE item IS 'items'",
        "CREATE OR REPLACE FUNCTION shop.unused() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE TABLE shop.more ()",
    ] {
        database.sql(change);
    }
    live(&database, &plan, &draft, adapter).unwrap();
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn a_plan_whose_means_have_changed_is_not_admitted() {
    let database = furnished();
    let draft = Draft::of(&["a"]);
    let plan = crate::rehearse(&database, &draft, adapter).unwrap().plan;
    database.sql("ALTER FUNCTION shop.outer_f SECURITY DEFINER");
    let error = database.operator().admit_plan(&plan).unwrap_err();
    assert!(
        error.to_string().contains("function shop.outer_f(text)"),
        "{error}"
    );
    database.sql("ALTER FUNCTION shop.outer_f SECURITY INVOKER");
    let _ = database.operator().admit_plan(&plan).unwrap();
}

#[test]
fn without_the_privilege_the_plan_says_what_it_covers() {
    let server = phasegate::testing::TestPostgres::find_or_start().expect("a server");
    let database = crate::server::database_on(&server);
    database.sql(
        "REVOKE SET ON PARAMETER track_functions FROM phasegate_owner; \
         CREATE FUNCTION named() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE FUNCTION hidden() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         GRANT EXECUTE ON FUNCTION named, hidden TO PUBLIC",
    );
    let plan = rehearsed(&database, &Draft::of(&["a"]), |draft, tx| {
        tx.query("SELECT named()", &[])?;
        tx.query("DO $$ BEGIN EXECUTE 'SELECT hid' || 'den()'; END $$", &[])?;
        inserts(draft, tx)
    });
    let means = plan.means().expect("they are known");
    assert!(!means.has_all_functions());
    assert!(means.objects().contains_key("function public.named()"));
    assert!(!means.objects().contains_key("function public.hidden()"));
    assert!(
        plan.to_string()
            .contains("(of functions, those that are named)")
    );
    database.sql("GRANT SET ON PARAMETER track_functions TO phasegate_owner");
}

#[test]
fn a_change_between_two_phases_is_found_by_the_next_session() {
    let database = furnished();
    let draft = Draft::of(&["a"]);
    let plan = plan(&database, &draft);
    // The first run is rolled back after it has compared: the next one compares anew.
    let failed = live(&database, &plan, &draft, |_, _| {
        Err(Failure::new("not now"))
    });
    assert!(failed.is_err());
    database.sql("ALTER FUNCTION shop.outer_f SECURITY DEFINER");
    assert_eq!(
        refusal(live(&database, &plan, &draft, adapter)).code(),
        "means_changed"
    );
}
