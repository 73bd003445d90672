//! Roles that could get round the interlock are refused, and are told what remedies it.

use phasegate::testing::TestPostgres;
use phasegate::{Error, Receipt, error::RefusalReason};

use crate::hand::INSERT;
use crate::pipeline::Draft;
use crate::server::{
    Database, database, database_on, does, drafting, drafting_plan, refusal, rollback,
};

/// Grants a power by `sql`, in which `RUNNER` and `GROUP` are the runner and a role that it is a member
/// of. Asserts that a live run is refused because of exactly these powers; that it passes despite
/// them when somebody says so; and that once the commands that the refusal names were performed, and
/// nothing else, it passes.
#[track_caller]
pub(crate) fn refused_until_remedied(database: &Database, sql: &str, powers: &[&str]) {
    let remedies = refused(database, sql, powers);
    assert_eq!(run(database, "despite", true).unwrap(), 1);
    passes_once_remedied(database, &remedies);
}

#[track_caller]
pub(crate) fn refused(database: &Database, sql: &str, powers: &[&str]) -> Vec<String> {
    let group = database.role("group");
    let named = |sql: &str| {
        sql.replace("RUNNER", database.runner.name())
            .replace("GROUP", group.name())
    };
    // Before: with a guard that is not whole no plan is admitted.
    for name in ["refused", "despite"] {
        database.admit(&drafting_plan(&database.target, &Draft::of(&[name])));
    }
    database.sql(&named(&format!("GRANT GROUP TO RUNNER; {sql}")));

    let refused = refusal(run(database, "refused", false));
    let text = refused.to_string();
    let RefusalReason::PrivilegedRole {
        role,
        privileges: found,
        ..
    } = refused.into_reason()
    else {
        panic!("{text}");
    };
    assert_eq!(role, database.runner.name());
    let mut remedies = Vec::new();
    let mut whats = Vec::new();
    for power in &found {
        assert!(text.contains(power), "{text}");
        let (what, remedy) = power.split_once("; remedy: ").unwrap();
        whats.push(what.to_owned());
        remedies.push(remedy.replace("another_role", "phasegate_auditor"));
    }
    whats.sort_unstable();
    let powers: Vec<_> = powers.iter().map(|power| named(power)).collect();
    assert_eq!(whats, powers);
    remedies
}

#[track_caller]
pub(crate) fn passes_once_remedied(database: &Database, remedies: &[String]) {
    for remedy in remedies {
        database.sql(remedy);
    }
    assert_eq!(run(database, "remedied", false).unwrap(), 1);
}

fn run(database: &Database, name: &str, despite: bool) -> Result<u64, Error> {
    let draft = Draft::of(&[name]);
    let plan = drafting_plan(&database.target, &draft);
    let mut live = database.live_by(
        plan,
        does(|draft, tx| Ok(tx.execute("INSERT INTO item VALUES ($1)", &[&draft.rows[0]])?)),
    );
    if despite {
        live = live.dangerously_allow_privileged_role();
    }
    live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .map(phasegate::runner::LiveReport::into_value)
}

#[test]
fn a_superuser_is_refused() {
    let database = database();
    refused_until_remedied(
        &database,
        "ALTER ROLE RUNNER SUPERUSER",
        &["it is a superuser"],
    );
}

#[test]
fn a_role_that_creates_roles_is_refused() {
    let database = database();
    let sql = "ALTER ROLE RUNNER CREATEROLE";
    refused_until_remedied(&database, sql, &["it can create roles"]);
}

#[test]
fn a_member_of_a_role_with_power_is_refused() {
    // A server of its own: an install beside it refuses a cluster in which phasegate_owner has such a member.
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = || database_on(&server);
    for role in [
        "phasegate_owner",
        "phasegate_operator",
        "pg_read_all_data",
        "pg_write_all_data",
        "pg_read_server_files",
        "pg_write_server_files",
        "pg_execute_server_program",
    ] {
        let what = format!("it is a member of {role}");
        refused_until_remedied(&database(), &format!("GRANT {role} TO RUNNER"), &[&what]);
        let what = format!("as GROUP, {what}");
        refused_until_remedied(&database(), &format!("GRANT {role} TO GROUP"), &[&what]);
    }
}

/// As a member of `rds_superuser` is: the role of all administrators keeps what it has.
#[test]
fn a_member_through_another_role_is_told_to_leave_that_role() {
    let database = database();
    let remedies = refused(
        &database,
        "GRANT pg_write_all_data, pg_write_server_files TO GROUP",
        &[
            "as GROUP, it is a member of pg_write_all_data",
            "as GROUP, it is a member of pg_write_server_files",
        ],
    );
    let runner = database.runner.name();
    for remedy in &remedies {
        let leaves = remedy.starts_with("REVOKE phasegate_group")
            && remedy.ends_with(&format!(" FROM {runner}"));
        assert!(leaves, "{remedies:?}");
    }
    passes_once_remedied(&database, &remedies);

    // Unless that role is what makes it a runner.
    let database = crate::server::database();
    let remedies = refused(
        &database,
        "GRANT phasegate_runner TO GROUP; REVOKE phasegate_runner FROM RUNNER; \
         GRANT pg_write_all_data TO GROUP",
        &["as GROUP, it is a member of pg_write_all_data"],
    );
    assert!(
        remedies[0].starts_with("REVOKE pg_write_all_data FROM phasegate_group"),
        "{remedies:?}"
    );
    passes_once_remedied(&database, &remedies);
}

/// The commands that would take its privileges away would lock it out of its own database.
#[test]
fn an_administrator_is_told_one_thing_to_use_another_role() {
    let database = database();
    let name: String = database.ask("SELECT current_database()::text");
    let sql = format!(
        "ALTER ROLE RUNNER CREATEROLE; ALTER DATABASE {name} OWNER TO RUNNER; ALTER TABLE item OWNER TO RUNNER; \
         CREATE SCHEMA mine AUTHORIZATION RUNNER; GRANT pg_write_all_data TO RUNNER"
    );
    let what = "it is an administrator, and another role has to be the runner";
    let remedies = refused(&database, &sql, &[what]);
    let other = "CREATE ROLE phasegate_auditor LOGIN; GRANT phasegate_runner TO phasegate_auditor";
    assert_eq!(remedies, [other]);
    // Without one of the two it is a role with too much.
    database.sql(&format!("ALTER DATABASE {name} OWNER TO postgres"));
    let refusal = refusal(run(&database, "refused", false)).to_string();
    assert!(refusal.contains("NOCREATEROLE"), "{refusal}");
}

/// From PostgreSQL 16 on a REVOKE that does not say whose grant it means takes back none of another role's.
#[test]
fn the_remedy_takes_back_what_another_administrator_has_granted() {
    let database = database();
    let (administrator, service) = (database.role("administrator"), database.role("service"));
    database.sql(&format!(
        "GRANT pg_write_all_data TO {1}; GRANT {1} TO {0} WITH ADMIN OPTION",
        administrator.name(),
        service.name()
    ));
    let mut client = administrator.config().connect(postgres::NoTls).unwrap();
    let grant = format!("GRANT {} TO {}", service.name(), database.runner.name());
    crate::hand::does(&mut client, &grant);
    let what = format!("as {}, it is a member of pg_write_all_data", service.name());
    refused_until_remedied(&database, "SELECT 1", &[&what]);
}

#[test]
fn a_member_of_a_superuser_or_of_who_creates_roles_is_refused_for_that_alone() {
    for power in ["SUPERUSER", "CREATEROLE"] {
        let database = database();
        let sql = format!("ALTER ROLE GROUP {power}");
        refused_until_remedied(&database, &sql, &["it is a member of GROUP"]);
    }
}

#[test]
fn a_role_that_does_not_inherit_is_refused_all_the_same() {
    let database = database();
    let sql = "ALTER ROLE RUNNER NOINHERIT; GRANT pg_write_all_data TO GROUP";
    // What it may do as a runner it could not do either.
    database.sql(&format!(
        "GRANT EXECUTE ON FUNCTION phasegate.open, phasegate.seal, phasegate.finish TO {0}; \
         GRANT USAGE ON SCHEMA phasegate TO {0}",
        database.runner.name()
    ));
    refused_until_remedied(
        &database,
        sql,
        &["as GROUP, it is a member of pg_write_all_data"],
    );
}

#[test]
fn the_owner_of_a_guarded_table_is_refused() {
    for (owner, what) in [
        ("RUNNER", "it owns public.mine, which is under guard"),
        (
            "GROUP",
            "as GROUP, it owns public.mine, which is under guard",
        ),
    ] {
        let sql = format!(
            "CREATE TABLE mine (); SELECT phasegate.protect('mine'); ALTER TABLE mine OWNER TO {owner}"
        );
        refused_until_remedied(&database(), &sql, &[what]);
    }
}

#[test]
fn the_owner_of_a_schema_or_of_the_database_who_could_drop_the_tables_is_refused() {
    refused_until_remedied(
        &database(),
        "CREATE SCHEMA mine AUTHORIZATION RUNNER",
        &["it owns the schema mine"],
    );
    // Also one that has taken every privilege from itself: an owner gives them back.
    refused_until_remedied(
        &database(),
        "CREATE SCHEMA mine AUTHORIZATION GROUP; REVOKE ALL ON SCHEMA mine FROM GROUP",
        &["as GROUP, it owns the schema mine"],
    );
    let database = database();
    let name: String = database.ask("SELECT current_database()::text");
    let sql = format!(
        "ALTER DATABASE {name} OWNER TO RUNNER; REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM RUNNER"
    );
    refused_until_remedied(&database, &sql, &["it owns the database"]);
}

#[test]
fn a_role_that_can_make_objects_is_refused() {
    let as_group = |who: &str| if who == "GROUP" { "as GROUP, " } else { "" };
    for who in ["RUNNER", "GROUP", "PUBLIC"] {
        for power in ["CREATE", "TEMPORARY"] {
            let database = database();
            let name: String = database.ask("SELECT current_database()::text");
            let what = format!("{}it has {power} on the database", as_group(who));
            let sql = format!("GRANT {power} ON DATABASE {name} TO {who}");
            refused_until_remedied(&database, &sql, &[&what]);
        }
        let what = format!("{}it has CREATE on the schema public", as_group(who));
        let sql = format!("GRANT CREATE ON SCHEMA public TO {who}");
        refused_until_remedied(&database(), &sql, &[&what]);
    }
}

#[test]
fn a_role_that_could_replace_the_guard_is_refused() {
    for (who, what) in [
        (
            "RUNNER",
            "it may replace the guard of public.item by another trigger",
        ),
        (
            "PUBLIC",
            "it may replace the guard of public.item by another trigger",
        ),
        (
            "GROUP",
            "as GROUP, it may replace the guard of public.item by another trigger",
        ),
    ] {
        refused_until_remedied(&database(), &format!("GRANT ALL ON item TO {who}"), &[what]);
    }
}

#[test]
fn a_role_that_may_set_what_the_interlock_depends_on_is_refused() {
    for parameter in ["session_replication_role", "track_counts"] {
        for privilege in ["SET", "ALTER SYSTEM"] {
            let what = format!("it may set {parameter}");
            let sql = format!("GRANT {privilege} ON PARAMETER {parameter} TO RUNNER");
            refused_until_remedied(&database(), &sql, &[&what]);
        }
    }
    // What is granted to everybody is so in the whole cluster.
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("a server");
    let sql = "GRANT SET ON PARAMETER session_replication_role TO PUBLIC; \
               GRANT SET ON PARAMETER session_replication_role TO GROUP";
    refused_until_remedied(
        &database_on(&server),
        sql,
        &[
            "as GROUP, it may set session_replication_role",
            "it may set session_replication_role",
        ],
    );
}

#[test]
fn a_role_that_may_change_what_only_functions_change_is_refused() {
    for (grant, whats) in [
        (
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA phasegate TO RUNNER",
            &[
                "it may change phasegate.begun, which only functions change",
                "it may change phasegate.epoch, which only functions change",
                "it may change phasegate.key, which only functions change",
                "it may change phasegate.secret, which only functions change",
            ][..],
        ),
        (
            "GRANT USAGE ON phasegate.begun TO PUBLIC",
            &["it may change phasegate.begun, which only functions change"],
        ),
        (
            "GRANT SELECT ON phasegate.key TO GROUP",
            &["as GROUP, it may read phasegate.key, which only functions read"],
        ),
        (
            "GRANT SELECT ON phasegate.secret TO GROUP",
            &["as GROUP, it may read phasegate.secret, which only functions read"],
        ),
        (
            "GRANT SELECT, INSERT, UPDATE ON phasegate.attempt TO GROUP",
            &["as GROUP, it may change phasegate.attempt, which only functions change"],
        ),
        (
            "GRANT UPDATE (is_on), SELECT (is_on) ON phasegate.kill_switch TO GROUP",
            &["as GROUP, it may change phasegate.kill_switch, which only functions change"],
        ),
        (
            "GRANT TRUNCATE ON phasegate.planned_effect TO PUBLIC",
            &["it may change phasegate.planned_effect, which only functions change"],
        ),
    ] {
        refused_until_remedied(&database(), grant, whats);
    }
    // Who reads changes nothing.
    let database = database();
    database.sql(&format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA phasegate TO {}",
        database.runner.name()
    ));
    assert_eq!(run(&database, "reads", false).unwrap(), 1);
}

#[test]
fn a_runner_that_could_read_what_its_session_remembers_would_write_outside_a_phase() {
    let database = database();
    database.sql(&format!(
        "GRANT SELECT ON phasegate.secret TO {}",
        database.runner.name()
    ));
    let attempt = crate::hand::Attempt::admitted(&database);
    let mut session = crate::hand::psql(&database);
    for statement in [
        &attempt.begin(),
        "ROLLBACK",
        "BEGIN",
        "SELECT set_config('phasegate.open_here', 'yes', false), \
                set_config('phasegate.number' || currval('phasegate.secret'), 'forged', false)",
        INSERT,
        "COMMIT",
    ] {
        crate::hand::does(&mut session, statement);
    }
    assert_eq!(database.items().len(), 1);
    drop(session);
    assert!(matches!(
        refusal(run(&database, "refused", false)).reason(),
        RefusalReason::PrivilegedRole { .. }
    ));
}

#[test]
fn a_role_that_may_call_what_only_operators_call_is_refused() {
    let name =
        |function: &&str| format!("it may call phasegate.{function}, which only operators call");
    let operators = [
        "admit_approval",
        "admit_plan",
        "admit_rejection",
        "drain",
        "end_commits_in_flight",
        "extend",
        "housekeep",
        "switch_off",
        "switch_on",
        "wait_for_commits",
    ];
    // These, and no other, are granted to operators and to no runner.
    let database = database();
    let granted: String = database.ask(
        "SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc AS p \
         WHERE p.pronamespace = 'phasegate'::regnamespace AND p.prosecdef \
           AND has_function_privilege('phasegate_operator', p.oid, 'EXECUTE') \
           AND NOT has_function_privilege('phasegate_runner', p.oid, 'EXECUTE')",
    );
    assert_eq!(granted, operators.join(" "));

    let all = "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA phasegate TO ";
    let whats: Vec<_> = operators.iter().map(name).collect();
    let whats: Vec<_> = whats.iter().map(String::as_str).collect();
    refused_until_remedied(&database, &format!("{all} RUNNER"), &whats);
    let whats: Vec<_> = whats
        .iter()
        .map(|what| format!("as phasegate_runner, {what}"))
        .collect();
    let whats: Vec<_> = whats.iter().map(String::as_str).collect();
    refused_until_remedied(
        &crate::server::database(),
        &format!("{all} phasegate_runner"),
        &whats,
    );
    let one = "GRANT EXECUTE ON FUNCTION phasegate.switch_on TO PUBLIC";
    let what = name(&"switch_on");
    refused_until_remedied(&crate::server::database(), one, &[&what]);
}

/// What gives the runner a privilege that bypasses the interlock, by itself or with others of these.
const GIVES: [&str; 65] = [
    "ALTER ROLE RUNNER SUPERUSER",
    "ALTER ROLE RUNNER CREATEROLE",
    "ALTER ROLE RUNNER NOINHERIT",
    "ALTER ROLE GROUP SUPERUSER",
    "ALTER ROLE GROUP CREATEROLE",
    "ALTER ROLE GROUP NOINHERIT",
    "GRANT GROUP TO RUNNER WITH ADMIN OPTION",
    "GRANT phasegate_runner TO GROUP",
    "GRANT phasegate_runner TO GROUP WITH ADMIN OPTION",
    "GRANT RUNNER TO OTHER WITH ADMIN OPTION",
    "GRANT OTHER TO GROUP",
    "GRANT OTHER TO RUNNER WITH ADMIN OPTION",
    "GRANT phasegate_operator TO GROUP",
    "GRANT phasegate_owner TO OTHER",
    "GRANT phasegate_auditor TO RUNNER",
    "GRANT pg_write_all_data TO OTHER",
    "GRANT pg_execute_server_program TO GROUP",
    "GRANT pg_write_server_files TO RUNNER",
    "GRANT pg_read_all_data TO GROUP",
    "GRANT pg_read_server_files TO OTHER",
    "GRANT SELECT ON phasegate.secret TO OTHER",
    "CREATE FUNCTION off() RETURNS int LANGUAGE sql SET track_counts = off AS 'SELECT 1'",
    "ALTER DATABASE HERE OWNER TO GROUP",
    "ALTER DATABASE HERE OWNER TO RUNNER; REVOKE CREATE, TEMPORARY ON DATABASE HERE FROM RUNNER",
    "ALTER SCHEMA public OWNER TO phasegate_auditor; ALTER DATABASE HERE OWNER TO GROUP; \
     REVOKE ALL ON DATABASE HERE FROM GROUP",
    "GRANT CREATE ON DATABASE HERE TO GROUP",
    "GRANT TEMPORARY ON DATABASE HERE TO PUBLIC",
    "GRANT CREATE ON SCHEMA public TO OTHER",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "CREATE SCHEMA mine AUTHORIZATION GROUP",
    "CREATE SCHEMA mine AUTHORIZATION OTHER; REVOKE ALL ON SCHEMA mine FROM OTHER",
    "ALTER TABLE item OWNER TO GROUP",
    "ALTER TABLE item OWNER TO RUNNER; REVOKE ALL ON item FROM RUNNER",
    "GRANT TRIGGER ON item TO PUBLIC",
    "GRANT TRIGGER ON item TO OTHER",
    "CREATE TABLE below (a int) INHERITS (item)",
    "CREATE TABLE below (a int) INHERITS (item); GRANT UPDATE (a) ON below TO GROUP",
    "CREATE TABLE above (name text); ALTER TABLE item INHERIT above; GRANT DELETE ON above TO PUBLIC",
    "CREATE TABLE above (name text); GRANT INSERT ON above TO OTHER; CREATE TABLE beside () INHERITS (above); \
     GRANT INSERT ON beside TO GROUP; ALTER TABLE item INHERIT above",
    "DROP TRIGGER phasegate_guard ON item",
    "SELECT phasegate.protect('item', 'statements'); DROP TRIGGER phasegate_count_deleted ON item",
    "ALTER TABLE item ENABLE TRIGGER phasegate_guard",
    "SELECT phasegate.protect('item', 'statements'); \
     ALTER TABLE item ENABLE REPLICA TRIGGER phasegate_count_inserted",
    "ALTER TABLE phasegate.attempt DISABLE TRIGGER interlock",
    "CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON item FOR EACH STATEMENT EXECUTE FUNCTION \
     phasegate.count_rows(); ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_updated",
    "CREATE OR REPLACE TRIGGER phasegate_guard BEFORE INSERT OR UPDATE OF state OR DELETE OR TRUNCATE ON item \
     FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard(); ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_guard",
    "CREATE TRIGGER once_more AFTER INSERT ON item REFERENCING NEW TABLE AS phasegate_rows FOR EACH STATEMENT \
     EXECUTE FUNCTION phasegate.count_rows(); ALTER TABLE item ENABLE ALWAYS TRIGGER once_more",
    "SELECT phasegate.unprotect('item')",
    "SELECT phasegate.protect('item', 'statements'); \
     DROP TRIGGER phasegate_guard ON item; DROP TRIGGER phasegate_count_inserted ON item; \
     DROP TRIGGER phasegate_count_updated ON item; DROP TRIGGER phasegate_count_deleted ON item",
    "ALTER TABLE item RENAME TO old; CREATE TABLE item (a int); GRANT INSERT ON item TO OTHER",
    "CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO RUNNER; GRANT INSERT ON mine TO PUBLIC",
    "CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO RUNNER; GRANT UPDATE (a) ON mine TO phasegate_auditor",
    "CREATE TABLE ours (a int); ALTER TABLE ours OWNER TO GROUP",
    "CREATE VIEW seen AS SELECT 1 AS a; ALTER VIEW seen OWNER TO RUNNER; GRANT DELETE ON seen TO OTHER",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1; ALTER FUNCTION f() OWNER TO RUNNER",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1; ALTER FUNCTION f() OWNER TO OTHER",
    "CREATE PROCEDURE p() LANGUAGE sql AS ''; ALTER PROCEDURE p() OWNER TO GROUP",
    "CREATE DOMAIN d AS int; ALTER DOMAIN d OWNER TO RUNNER",
    "CREATE TABLE alone (a int); ALTER TABLE alone OWNER TO RUNNER",
    "GRANT USAGE ON phasegate.epoch TO OTHER",
    "GRANT UPDATE (xid) ON phasegate.attempt TO PUBLIC",
    "GRANT INSERT ON phasegate.counted TO GROUP",
    "GRANT INSERT ON phasegate.run TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION phasegate.admit_plan TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION phasegate.switch_on TO OTHER",
];

#[test]
fn the_quick_check_finds_every_role_that_the_exact_one_finds() {
    let database = database();
    let (group, other) = (database.role("group"), database.role("other"));
    let here: String = database.ask("SELECT current_database()::text");
    let named = |sql: &str| {
        sql.replace("RUNNER", database.runner.name())
            .replace("GROUP", group.name())
            .replace("OTHER", other.name())
            .replace("HERE", &here)
    };
    let ask = named(
        "SELECT phasegate.may_bypass('RUNNER'), coalesce(string_agg(privilege, '; '), '') \
         FROM phasegate.bypass_privileges('RUNNER')",
    );
    // Each by itself, and then by chance.
    let mut state = 7_usize;
    let mut chance = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut given: Vec<Vec<&str>> = GIVES.iter().map(|&one| vec![one]).collect();
    given.extend((0..100).map(|_| {
        (0..=chance(4))
            .map(|_| GIVES[chance(GIVES.len())])
            .collect()
    }));

    let (mut with, mut without) = (0, 0);
    let mut admin = database.admin();
    for given in &given {
        let mut tx = admin.transaction().unwrap();
        if chance(4) > 0 {
            tx.batch_execute(&named("GRANT GROUP TO RUNNER; GRANT OTHER TO GROUP"))
                .unwrap();
        }
        for one in given {
            // Some do not go together.
            let mut savepoint = tx.transaction().unwrap();
            if savepoint.batch_execute(&named(one)).is_ok() {
                savepoint.commit().unwrap();
            }
        }
        let row = tx.query_one(&ask, &[]).unwrap();
        let (may, found): (bool, String) = (row.get(0), row.get(1));
        assert!(may || found.is_empty(), "{given:?}: {found}");
        *(if found.is_empty() {
            &mut without
        } else {
            &mut with
        }) += 1;
        tx.rollback().unwrap();
    }
    assert!(with > 50 && without > 20, "{with} with, {without} without");
    // And who has none is asked no more.
    assert!(!admin.query_one(&ask, &[]).unwrap().get::<_, bool>(0));
}

#[test]
fn an_interlock_that_was_tampered_with_is_found_and_without_it_no_phase_is_finished() {
    for how in [
        "ENABLE TRIGGER",
        "ENABLE REPLICA TRIGGER",
        "DISABLE TRIGGER",
    ] {
        let database = database();
        let sql = format!("ALTER TABLE phasegate.attempt {how} interlock");
        let what = "the trigger interlock on phasegate.attempt is not enabled always";
        let remedies = refused(&database, &sql, &[what]);
        let despite = run(&database, "despite", true);
        assert_eq!(despite.is_ok(), how == "ENABLE TRIGGER", "{despite:?}");
        passes_once_remedied(&database, &remedies);
    }
}

/// Despite its powers the role opens a phase, which is not committed.
#[track_caller]
fn refused_and_not_counted(database: &Database, sql: &str, what: &str) {
    let remedies = refused(database, sql, &[what]);
    let rollback = rollback(run(database, "despite", true));
    assert!(rollback.to_string().contains("not counted"), "{rollback}");
    passes_once_remedied(database, &remedies);
}

#[test]
fn a_guard_that_was_tampered_with_is_found() {
    let what = "the trigger phasegate_guard on public.item is not as it was put there";
    for how in [
        "ENABLE TRIGGER",
        "ENABLE REPLICA TRIGGER",
        "DISABLE TRIGGER",
    ] {
        let sql = format!("ALTER TABLE item {how} phasegate_guard");
        refused_and_not_counted(&database(), &sql, what);
    }
    for instead in [
        "BEFORE INSERT ON item FOR EACH STATEMENT",
        "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON item FOR EACH STATEMENT WHEN (false)",
        "BEFORE INSERT OR UPDATE OF name OR DELETE OR TRUNCATE ON item FOR EACH STATEMENT",
        "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON item FOR EACH STATEMENT",
    ] {
        let sql = format!(
            "CREATE OR REPLACE TRIGGER phasegate_guard {instead} EXECUTE FUNCTION phasegate.guard(); \
             ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_guard"
        );
        let database = database();
        refused_and_not_counted(&database, &sql, what);
        crate::hand::refuses(&mut crate::hand::psql(&database), INSERT, "ZG007");
    }
}

#[test]
fn a_guard_of_one_column_is_not_taken_for_a_guard() {
    let database = database();
    database.sql(
        "INSERT INTO item VALUES ('a', 'draft'); \
         CREATE OR REPLACE TRIGGER phasegate_guard BEFORE INSERT OR UPDATE OF name OR DELETE OR TRUNCATE ON item \
           FOR EACH STATEMENT EXECUTE FUNCTION phasegate.guard(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_guard",
    );
    // Outside of any phase.
    let written = "UPDATE item SET state = 'smuggled'";
    crate::hand::does(&mut crate::hand::psql(&database), written);
    let guarded: i64 = database.ask("SELECT count(*) FROM phasegate.guarded_tables()");
    assert_eq!(guarded, 0);
}

#[test]
fn a_counter_that_was_tampered_with_is_found() {
    let what = "the triggers that count the rows of public.item are not as they were put there";
    for sql in [
        "ALTER TABLE item ENABLE TRIGGER phasegate_count_inserted",
        "ALTER TABLE item DISABLE TRIGGER phasegate_count_deleted",
        "DROP TRIGGER phasegate_count_updated ON item",
        "CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON item \
           REFERENCING NEW TABLE AS phasegate_rows FOR EACH STATEMENT WHEN (false) \
           EXECUTE FUNCTION phasegate.count_rows(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_updated",
        "CREATE OR REPLACE TRIGGER phasegate_count_inserted AFTER UPDATE ON item \
           REFERENCING NEW TABLE AS phasegate_rows FOR EACH STATEMENT \
           EXECUTE FUNCTION phasegate.count_rows(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_inserted",
        "CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON item \
           REFERENCING OLD TABLE AS phasegate_rows FOR EACH STATEMENT \
           EXECUTE FUNCTION phasegate.count_rows(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_updated",
        "CREATE OR REPLACE TRIGGER phasegate_count_updated AFTER UPDATE ON item FOR EACH STATEMENT \
           EXECUTE FUNCTION phasegate.count_rows(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_updated",
        "CREATE OR REPLACE TRIGGER phasegate_count_deleted AFTER DELETE ON item FOR EACH STATEMENT \
           EXECUTE FUNCTION phasegate.count_rows(); \
         ALTER TABLE item ENABLE ALWAYS TRIGGER phasegate_count_deleted",
    ] {
        let database = database();
        database.sql("SELECT phasegate.protect('item', 'statements')");
        refused_and_not_counted(&database, sql, what);
    }
    // One that counts twice is one too many.
    let database = database();
    let twice = "CREATE TRIGGER again AFTER INSERT ON item REFERENCING NEW TABLE AS phasegate_rows \
                 FOR EACH STATEMENT EXECUTE FUNCTION phasegate.count_rows(); \
                 ALTER TABLE item ENABLE ALWAYS TRIGGER again";
    refused(&database, twice, &[what]);
    passes_once_remedied(&database, &["DROP TRIGGER again ON item".to_owned()]);
    // And on a table that is counted by counters each is.
    refused_and_not_counted(&crate::server::database(), twice, what);
}

#[test]
fn a_role_with_several_powers_is_told_all_of_them_at_once() {
    refused_until_remedied(
        &database(),
        "GRANT pg_write_all_data TO RUNNER; GRANT CREATE ON SCHEMA public TO PUBLIC; \
         CREATE SCHEMA mine AUTHORIZATION RUNNER",
        &[
            "it has CREATE on the schema public",
            "it is a member of pg_write_all_data",
            "it owns the schema mine",
        ],
    );
}

#[test]
fn a_role_that_can_stop_being_a_runner_is_refused() {
    let database = database();
    let sql = "GRANT phasegate_runner TO RUNNER WITH ADMIN OPTION";
    let what = "it may take away phasegate_runner, and with it the guard";
    let remedies = refused(&database, sql, &[what]);
    let runner = database.runner.name();
    // It is what the refusal says. From PostgreSQL 16 on a role revokes its own grants only; the refusal is the same.
    let mut session = crate::hand::psql(&database);
    crate::hand::does(
        &mut session,
        &format!("REVOKE phasegate_runner FROM {runner}"),
    );
    if database.ask::<i32>("SELECT current_setting('server_version_num')::int") < 160_000 {
        crate::hand::does(&mut session, INSERT);
    } else {
        crate::hand::refuses(&mut session, INSERT, "ZG007");
    }
    database.sql(&format!(
        "GRANT phasegate_runner TO {runner} WITH ADMIN OPTION; DELETE FROM item"
    ));
    passes_once_remedied(&database, &remedies);

    let sql = "GRANT phasegate_runner TO GROUP WITH ADMIN OPTION";
    refused_until_remedied(
        &crate::server::database(),
        sql,
        &[&format!("as GROUP, {what}")],
    );
}
