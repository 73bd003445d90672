//! What the runner's role may not so much as touch.

use postgres::NoTls;

use crate::hand::{
    Attempt, INSERT, does, held, held_by_hand, nothing_committed, psql, refuses, tell,
};
use crate::pipeline::Draft;
use crate::server::{database, drafting_plan};

#[test]
fn the_runner_has_no_privilege_on_any_relation_of_the_schema_nor_has_everybody() {
    let database = database();
    let query = "SELECT coalesce(string_agg(format('%s %s', c.relname, p), ', '), '') \
         FROM pg_class AS c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', \
              'TRUNCATE', 'REFERENCES', 'TRIGGER', 'USAGE']) AS p, \
              unnest(ARRAY[$1::regrole::oid, 'phasegate_runner'::regrole]) AS r \
         WHERE c.relnamespace = 'phasegate'::regnamespace AND CASE \
           WHEN c.relkind = 'S' AND p IN ('SELECT', 'UPDATE', 'USAGE') THEN has_sequence_privilege(r, c.oid, p) \
           WHEN c.relkind IN ('r', 'p', 'v', 'm') AND p <> 'USAGE' THEN has_table_privilege(r, c.oid, p) \
             OR p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege(r, c.oid, p) END";
    let query = query.replace("$1", &format!("'{}'", database.runner.name()));
    assert_eq!(database.ask::<String>(&query), "");
    let relations: i64 = database.ask(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'phasegate'::regnamespace AND relkind IN ('r', 'S')",
    );
    assert!(relations > 10, "{relations}");
    let acls: String = database.ask(
        "SELECT coalesce(string_agg(c.relname || ' ' || x.privilege_type, ', '), '') \
         FROM pg_class AS c, aclexplode(c.relacl) AS x \
         WHERE c.relnamespace = 'phasegate'::regnamespace AND x.grantee = 0",
    );
    assert_eq!(acls, "");
}

/// What may be called by whoever it is, in the order of the names.
fn callable(by: &str) -> String {
    database().ask(&format!(
        "SELECT string_agg(p.proname, ' ' ORDER BY p.proname) FROM pg_proc AS p \
         WHERE p.pronamespace = 'phasegate'::regnamespace AND {by}"
    ))
}

#[test]
fn the_runner_may_call_what_a_phase_and_a_rehearsal_need_and_nothing_else() {
    let public = "begin_statement chosen_kind contents_when count_rows create_contents create_counting create_triggers \
        drop_contents drop_contents_functions drop_counting ensure_counters ensure_guardable_relatives ensure_kind ensure_no_runner ensure_own_table forget_protection guard guard_kind \
        guarded_tables is_bound_by_contents is_counting is_whole local_children make_contents_function protect record_protection \
        unprotect with_children";
    let everybody = "EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x \
                     WHERE x.grantee = 0 AND x.privilege_type = 'EXECUTE')";
    assert_eq!(callable(everybody), public);
    let runner = "has_function_privilege('phasegate_runner', p.oid, 'EXECUTE')";
    assert_eq!(
        callable(runner),
        "after_rollback approvals_of before_savepoint begin_statement bypass_privileges chosen_kind commits_in_flight \
         contents_when count_rows create_contents create_counting create_triggers drain_rehearsal drop_contents \
         drop_contents_functions drop_counting ensure_counters \
         ensure_guardable_relatives ensure_kind ensure_no_runner ensure_own_table finish forget_protection guard \
         guard_kind guarded_tables holder_of_run is_bound_by_contents is_counting is_whole journal_of local_children \
         make_contents_function measure_failed measure_means \
         measure_rehearsal open open_rehearsal perform_row phases_in_progress plan_bytes preflight progress_of protect \
         record_protection rehearse resolve same_change seal \
         switch_status switched_off_since unprotect with_children"
    );
    // Of those that are PUBLIC's these run as the owner: what the guard asks, what only a table can call, and the
    // record of guards.
    let definer = format!("{everybody} AND p.prosecdef");
    assert_eq!(
        callable(&definer),
        "begin_statement count_rows drop_contents_functions ensure_no_runner forget_protection guard_kind is_bound_by_contents \
         make_contents_function record_protection"
    );
    refuses(&mut psql(&database()), "SELECT phasegate.guard()", "0A000");
}

/// `perform_row` performs the caller's own statement, as the caller, and leaves to the caller what its
/// names mean; `count_rows` reads a transition table, whose name no schema qualifies; the names in
/// `may_act_as`, `is_counting` and `is_whole`, which are inlined, were resolved when they were created;
/// `guard` and `begin_statement`, which every statement pays for, name everything with its schema.
#[test]
fn every_function_but_seven_pins_its_search_path_to_the_catalog() {
    let pins = |path: &str| format!("'search_path={path}' = ANY (coalesce(p.proconfig, '{{}}'))");
    let loose = format!("NOT {}", pins("pg_catalog, pg_temp"));
    assert_eq!(
        callable(&loose),
        "begin_statement count_rows guard is_counting is_whole may_act_as perform_row"
    );
    let pinned = format!("{loose} AND {}", pins("pg_catalog, phasegate, pg_temp"));
    assert_eq!(callable(&pinned), "count_rows");
    let bound = format!("{loose} AND p.prosqlbody IS NOT NULL AND NOT p.prosecdef");
    assert_eq!(callable(&bound), "is_counting is_whole may_act_as");
}

/// What a session's search path could change in a body that pins none: operators, and names without a schema.
#[test]
fn the_bodies_that_pin_no_search_path_name_everything_with_its_schema() {
    let bodies: String = database().ask(
        "SELECT string_agg(p.prosrc, ' ') FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace \
         AND p.proname IN ('guard', 'begin_statement')",
    );
    let code: String = bodies
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    // Literals first: what they hold is resolved with its own schema.
    let code: String = code.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    let code = code
        .split("OPERATOR(pg_catalog.")
        .enumerate()
        .map(|(place, part)| {
            if place == 0 {
                part
            } else {
                part.split_once(')').unwrap().1
            }
        })
        .collect::<String>();
    assert!(
        !code.contains(['=', '<', '>', '|', '+', '*', '/', '&']),
        "{code}"
    );
    let calls = code.match_indices('(').filter_map(|(end, _)| {
        let name = code[..end]
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
            .next()?;
        (!name.is_empty() && name.chars().any(char::is_lowercase)).then_some(name)
    });
    for name in calls {
        assert!(name.contains('.'), "{name}");
    }
    for (place, _) in code.match_indices("::") {
        assert!(
            code[place + 2..].starts_with("pg_catalog."),
            "{}",
            &code[place..]
        );
    }
}

#[test]
fn every_definer_and_trigger_function_is_the_owners_with_the_temporary_schema_last() {
    let ours = "(p.prosecdef OR p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype))";
    let loose = format!(
        "{ours} AND (p.proowner <> 'phasegate_owner'::regrole \
         OR (SELECT c FROM unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%') \
            IS DISTINCT FROM CASE p.proname WHEN 'count_rows' THEN 'search_path=pg_catalog, phasegate, pg_temp' \
                             ELSE 'search_path=pg_catalog, pg_temp' END) \
         AND NOT (p.proname IN ('guard', 'begin_statement') AND p.proowner = 'phasegate_owner'::regrole)"
    );
    let database = database();
    let names: Option<String> = database.ask(&format!(
        "SELECT string_agg(p.proname, ' ') FROM pg_proc AS p \
         WHERE p.pronamespace = 'phasegate'::regnamespace AND {loose}"
    ));
    assert_eq!(names, None);
    // None of another schema, which a table of ours would call, or an owner of ours would own.
    let elsewhere: i64 = database.ask(
        "SELECT count(*) FROM pg_proc AS p WHERE p.proowner = 'phasegate_owner'::regrole \
         AND p.pronamespace <> 'phasegate'::regnamespace",
    );
    assert_eq!(elsewhere, 0);
    let called: i64 = database.ask(
        "SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid \
         JOIN pg_proc AS p ON p.oid = t.tgfoid WHERE c.relnamespace = 'phasegate'::regnamespace \
         AND p.pronamespace NOT IN ('phasegate'::regnamespace, 'pg_catalog'::regnamespace)",
    );
    assert_eq!(called, 0);
}

/// As a definer's, or called by one, it would perform any statement as the owner.
#[test]
fn perform_row_runs_as_its_caller_and_is_called_by_no_other_function() {
    let definer = "p.proname = 'perform_row' AND p.prosecdef";
    let calls = "p.proname <> 'perform_row' AND pg_get_functiondef(p.oid) ~ 'perform_row'";
    let count = format!(
        "SELECT count(*) FROM pg_proc AS p \
         WHERE p.pronamespace = 'phasegate'::regnamespace AND ({definer} OR {calls})"
    );
    assert_eq!(database().ask::<i64>(&count), 0);
}

#[test]
fn the_runner_may_not_touch_the_tables_and_the_sequence_of_the_schema() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut phase = psql(&database);
    does(&mut phase, &attempt.begin());
    for statement in [
        "SELECT * FROM phasegate.kill_switch",
        "SELECT * FROM phasegate.kill_switch FOR SHARE",
        "SELECT * FROM phasegate.run FOR KEY SHARE",
        "UPDATE phasegate.kill_switch SET is_on = true",
        "DELETE FROM phasegate.approval_spent",
        "TRUNCATE phasegate.journal",
        "INSERT INTO phasegate.approval VALUES ('n', '', 'SG_1', 'me', 'infinity', '')",
        "INSERT INTO phasegate.plan SELECT '', '', '', 1, '', ''",
        "COPY phasegate.run TO STDOUT",
        "DO $$ BEGIN LOCK TABLE phasegate.kill_switch IN ACCESS SHARE MODE; END $$",
        "DO $$ BEGIN LOCK TABLE phasegate.kill_switch IN EXCLUSIVE MODE; END $$",
        "DO $$ BEGIN LOCK TABLE phasegate.phase_in_progress IN ROW SHARE MODE; END $$",
        "SELECT setval('phasegate.epoch', 1)",
        "SELECT nextval('phasegate.epoch')",
        "SELECT last_value FROM phasegate.epoch",
        "SELECT phasegate.switch_on('me', '1 hour')",
        "SELECT phasegate.switch_off('me')",
        "SELECT phasegate.drain('1 s')",
        "SELECT phasegate.end_commits_in_flight()",
        "SELECT phasegate.stop_phases()",
        "SELECT phasegate.end_sessions(ARRAY[1])",
        "SELECT phasegate.admit_plan('')",
        "SELECT phasegate.admit_approval('n', '', 'SG_1', 'me', 'infinity', '')",
        "SELECT phasegate.housekeep('1 day')",
        "SELECT phasegate.this_attempt()",
        "SELECT phasegate.lease()",
        "SELECT phasegate.effects()",
        "SELECT phasegate.interlock()",
        "SELECT phasegate.ensure_lease_holds(1, 'infinity', '')",
    ] {
        refuses(&mut psql(&database), statement, "42501");
        // Nor inside a phase.
        does(&mut phase, "SAVEPOINT s");
        refuses(&mut phase, statement, "42501");
        does(&mut phase, "ROLLBACK TO s");
    }
    drop(phase);
    held(
        &database,
        &["SELECT phasegate.switch_on('me', '1 hour')"],
        "42501",
        "42501",
    );
}

#[test]
fn the_runner_may_not_replace_what_the_wall_is_made_of() {
    let database = database();
    for statement in [
        "ALTER TABLE phasegate.attempt DISABLE TRIGGER interlock",
        "ALTER TABLE item DISABLE TRIGGER ALL",
        "DROP TRIGGER phasegate_guard ON item",
        "ALTER TRIGGER phasegate_guard ON item RENAME TO other",
        "CREATE TRIGGER mine BEFORE INSERT ON item EXECUTE FUNCTION phasegate.guard()",
        "CREATE OR REPLACE TRIGGER phasegate_guard BEFORE INSERT ON item FOR EACH STATEMENT WHEN (false) \
           EXECUTE FUNCTION phasegate.guard()",
        "CREATE RULE mine AS ON INSERT TO phasegate.attempt DO INSTEAD NOTHING",
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION phasegate.guard()",
        "CREATE FUNCTION phasegate.mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION phasegate.guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION phasegate.interlock() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "ALTER FUNCTION phasegate.guard() SECURITY INVOKER",
        "ALTER FUNCTION phasegate.open(bytea) SET search_path = public",
        "DROP FUNCTION phasegate.guard() CASCADE",
        "DROP SCHEMA phasegate CASCADE",
        "ALTER SCHEMA phasegate RENAME TO other",
        "CREATE TABLE mine ()",
        "CREATE TABLE phasegate.mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE DOMAIN mine AS int",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE PUBLICATION mine FOR TABLE item",
        "CREATE STATISTICS mine ON name, state FROM item",
        "ALTER TABLE item INHERIT item",
        "COMMENT ON TABLE item IS 'mine'",
        "GRANT phasegate_operator TO CURRENT_USER",
        "REASSIGN OWNED BY phasegate_owner TO CURRENT_USER",
        "DROP OWNED BY phasegate_owner",
        "UPDATE pg_trigger SET tgenabled = 'D'",
        "DELETE FROM pg_depend",
        "ALTER SYSTEM SET track_counts = off",
        "COPY item FROM PROGRAM 'echo x'",
        "COPY item TO '/tmp/x'",
        "SELECT pg_reload_conf()",
        "SELECT lo_import('/etc/passwd')",
    ] {
        refuses(&mut psql(&database), statement, "42501");
    }
    let mut session = psql(&database);
    refuses(&mut session, "LOAD '/tmp/mine.so'", "42501");
    drop(session);
    held_by_hand(
        &database,
        &["ALTER TABLE item DISABLE TRIGGER ALL"],
        "42501",
    );
    nothing_committed(&database);
}

#[test]
fn the_runner_stays_the_runner() {
    let database = database();
    let runner = database.runner.name();
    for statement in [
        "SET ROLE phasegate_owner",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION phasegate_owner",
        "SET session_replication_role = replica",
        "SET track_counts = off",
        "SET allow_system_table_mods = on",
        &format!("ALTER ROLE {runner} SET session_replication_role = replica"),
        &format!("ALTER ROLE {runner} SUPERUSER"),
        "ALTER ROLE phasegate_owner LOGIN",
        &format!(
            "ALTER DATABASE {} SET session_replication_role = replica",
            database.target.database()
        ),
        &format!(
            "ALTER DATABASE {} SET search_path = public",
            database.target.database()
        ),
        "SELECT set_config('session_replication_role', 'replica', false)",
        "SELECT set_config('role', 'phasegate_owner', false)",
        "SELECT set_config('session_authorization', 'phasegate_owner', false)",
    ] {
        let refused = tell(&mut psql(&database), statement);
        assert!(
            matches!(refused.as_deref(), Some("42501" | "22023")),
            "{statement}: {refused:?}"
        );
    }
    nothing_committed(&database);
}

#[test]
fn a_runner_cannot_make_another_role_one_by_granting_itself() {
    let database = database();
    let other = database.role("other");
    database.sql(&format!("GRANT INSERT ON item TO {}", other.name()));
    for granted in ["phasegate_runner", database.runner.name()] {
        let grant = format!("GRANT {granted} TO {}", other.name());
        let refused = tell(&mut psql(&database), &grant);
        assert!(
            matches!(refused.as_deref(), Some("42501" | "0LP01")),
            "{granted}: {refused:?}"
        );
    }
    does(&mut other.config().connect(NoTls).unwrap(), INSERT);
}

#[test]
fn a_runner_cannot_stop_being_one() {
    let database = database();
    let runner = database.runner.name();
    for statement in [
        &format!("REVOKE phasegate_runner FROM {runner}"),
        &format!("REVOKE phasegate_runner FROM {runner} CASCADE"),
        "DROP ROLE phasegate_runner",
        "ALTER ROLE phasegate_runner RENAME TO other",
    ] {
        let refused = tell(&mut psql(&database), statement);
        assert!(
            matches!(refused.as_deref(), Some("42501" | "0LP01")),
            "{statement}: {refused:?}"
        );
        refuses(&mut psql(&database), INSERT, "ZG007");
    }
    does(&mut psql(&database), "DROP OWNED BY CURRENT_USER");
    refuses(&mut psql(&database), INSERT, "ZG007");
    nothing_committed(&database);
}

#[test]
fn replicas_role_disarms_neither_the_interlock_nor_the_guard() {
    // By the role's own settings, which a superuser made; and by a parameter that was granted.
    for how in [
        "ALTER ROLE RUNNER SET session_replication_role = replica",
        "GRANT SET ON PARAMETER session_replication_role TO RUNNER",
    ] {
        let database = database();
        database.sql(&how.replace("RUNNER", database.runner.name()));
        let replica = "SET session_replication_role = replica";
        if how.starts_with("GRANT") {
            let mut session = psql(&database);
            does(&mut session, replica);
            refuses(&mut session, INSERT, "ZG007");
            drop(session);
            held_by_hand(&database, &[replica, "COMMIT"], "ZG001");
            held_by_hand(&database, &["ROLLBACK", replica, INSERT], "ZG007");
            let revoke = "REVOKE SET ON PARAMETER session_replication_role FROM RUNNER";
            database.sql(&revoke.replace("RUNNER", database.runner.name()));
        } else {
            let mut session = psql(&database);
            let now: String = session
                .query_one("SHOW session_replication_role", &[])
                .unwrap()
                .get(0);
            assert_eq!(now, "replica");
            refuses(&mut session, INSERT, "ZG007");
            drop(session);
            held(&database, &["COMMIT"], "ZG001", "not sent");
            held_by_hand(&database, &["ROLLBACK", INSERT], "ZG007");
        }
    }
}

#[test]
fn a_link_back_to_the_same_database_is_another_connection() {
    let database = database();
    let there: bool =
        database.ask("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'dblink')");
    if !there {
        #[allow(clippy::print_stdout)]
        {
            println!("not proved here: this server has no extension dblink");
        }
        return;
    }
    database.sql("CREATE EXTENSION dblink");
    let socket: String =
        database.ask("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)");
    let port: String = database.ask("SELECT current_setting('port')");
    let link = |user: &str| {
        let socket = socket.replace('"', "");
        format!(
            "host={socket} port={port} dbname={} user={user}",
            database.target.database()
        )
    };
    // Without a password that the server asks for, not at all.
    for user in [database.runner.name(), "postgres"] {
        let statement = format!(
            "SELECT dblink_exec('{}', '{}')",
            link(user),
            INSERT.replace('\'', "''")
        );
        held(&database, &[&statement], "2F003", "2F003");
    }
    // By a link that an administrator made, as itself: in a transaction of its own.
    database.sql(&format!(
        "GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO {}",
        database.runner.name()
    ));
    let connect = format!(
        "SELECT dblink_connect_u('{}')",
        link(database.runner.name())
    );
    let exec = format!("SELECT dblink_exec('{}')", INSERT.replace('\'', "''"));
    held(&database, &[&connect, &exec], "ZG007", "ZG007");
}

#[test]
fn a_runner_does_not_read_what_was_said_and_done_about_the_plans_of_another() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let done = database.draft_by(&draft, |_, tx| {
        Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
    });
    assert_eq!(done.unwrap(), 1);
    let other = database.role("other");
    database.sql(&format!("GRANT phasegate_runner TO {}", other.name()));
    let digest = format!("'\\x{}'", plan.digest());
    for (function, rows) in [("journal_of", 1), ("approvals_of", 1)] {
        let count = format!("SELECT count(*) FROM phasegate.{function}({digest})");
        let mut own = psql(&database);
        let own: i64 = own.query_one(&count, &[]).unwrap().get(0);
        let mut client = other.config().connect(NoTls).unwrap();
        let others: i64 = client.query_one(&count, &[]).unwrap().get(0);
        assert_eq!((own, others), (rows, 0), "{function}");
    }
}
