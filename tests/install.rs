//! The schema: installed in one transaction, again without effect, by two at once; and errors name
//! the call that fixes them.

mod pipeline;
mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs, thread};

use phasegate::testing::{TestPostgres, TripwireAdapter};
use phasegate::{
    Receipt,
    error::RefusalReason,
    schema::{InstallError, install},
};
use postgres::{Client, NoTls, SimpleQueryMessage};

use pipeline::Draft;
use server::{database, drafting, drafting_plan, refusal};

fn server() -> TestPostgres {
    TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("a server")
}

/// Everything that the schema consists of, as text.
fn schema(client: &mut Client) -> Vec<String> {
    let sql = "
        SELECT 'table ' || c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || c.relacl::text
        FROM pg_class AS c LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind IN ('r', 'S')
        UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = 'phasegate'::regnamespace AND NOT t.tgisinternal
        UNION ALL SELECT 'view ' || pg_get_viewdef(c.oid) || coalesce(c.relacl::text, '') FROM pg_class AS c WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind = 'v'
        UNION ALL SELECT 'version ' || version || digest || installed_at FROM phasegate.schema_version
        ORDER BY 1";
    let rows = client.query(sql, &[]).expect("the schema");
    rows.iter().filter_map(|row| row.get(0)).collect()
}

#[test]
fn a_second_install_changes_nothing() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    let first = install(&mut client).unwrap();
    assert_eq!(first.applied, ["1"]);
    let before = schema(&mut client);
    assert!(before.len() > 50, "{before:#?}");
    assert_eq!(first.repaired, [""; 0]);
    assert_eq!(first.lacking, [""; 0]);
    let again = install(&mut client).unwrap();
    assert!(
        again.applied.is_empty() && again.repaired.is_empty(),
        "{again:?}"
    );
    assert_eq!(schema(&mut client), before);
}

#[test]
fn concurrent_installs_into_one_or_several_databases_succeed() {
    let server = server();
    let databases: Vec<_> = (0..3).map(|_| server.create_database().unwrap()).collect();
    let applied: Vec<(usize, usize)> = thread::scope(|scope| {
        let installs: Vec<_> = (0..12)
            .map(|at| {
                let config = databases[at % 3].admin();
                scope.spawn(move || {
                    let mut client = config.connect(NoTls).unwrap();
                    (at % 3, install(&mut client).unwrap().applied.len())
                })
            })
            .collect();
        installs
            .into_iter()
            .map(|install| install.join().unwrap())
            .collect()
    });
    for database in 0..3 {
        let of_one: Vec<_> = applied.iter().filter(|(at, _)| *at == database).collect();
        let by_whom = of_one.iter().filter(|(_, versions)| *versions > 0).count();
        assert_eq!(by_whom, 1, "{applied:?}");
    }
    let schemas: Vec<_> = databases
        .iter()
        .map(|database| {
            let mut schema = schema(&mut database.admin().connect(NoTls).unwrap());
            schema.retain(|line| !line.starts_with("version"));
            schema
        })
        .collect();
    assert!(schemas.iter().all(|schema| *schema == schemas[0]));
}

#[test]
fn a_failed_install_leaves_nothing_and_names_the_event_trigger() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    client
        .batch_execute(
            "CREATE FUNCTION no_functions() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS c WHERE c.object_identity LIKE '%housekeep%') \
               THEN RAISE 'not in my database'; END IF; END $$; \
             CREATE EVENT TRIGGER no_functions ON ddl_command_end EXECUTE FUNCTION no_functions()",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(matches!(error, InstallError::Migration(_)), "{error}");
    let said = error.to_string();
    for part in ["not in my database", "no_functions()"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'phasegate'";
    assert_eq!(client.query_one(there, &[]).unwrap().get::<_, i64>(0), 0);
    client
        .batch_execute("DROP EVENT TRIGGER no_functions")
        .unwrap();
    assert!(!install(&mut client).unwrap().applied.is_empty());
}

#[test]
fn a_dropped_altered_or_reowned_function_is_restored() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    let whole = schema(&mut client);
    let functions = "SELECT p.oid::regprocedure::text FROM pg_proc AS p \
                     WHERE p.pronamespace = 'phasegate'::regnamespace ORDER BY 1";
    let functions = client.query(functions, &[]).unwrap();
    assert!(functions.len() > 50);
    let (mut dropped, mut kept) = (0, 0);
    for function in &functions {
        let function: String = function.get(0);
        if client
            .batch_execute(&format!("DROP FUNCTION {function}"))
            .is_ok()
        {
            dropped += 1;
        } else {
            // Another object needs it.
            let alter =
                format!("ALTER FUNCTION {function} SECURITY DEFINER SET search_path = public");
            client.batch_execute(&alter).unwrap();
            client
                .batch_execute(&format!(
                    "GRANT EXECUTE ON FUNCTION {function} TO phasegate_owner"
                ))
                .unwrap();
            kept += 1;
        }
        let repaired = install(&mut client).unwrap().repaired;
        assert_eq!(repaired, [function.as_str()]);
        assert_eq!(schema(&mut client), whole, "{function}");
        assert_eq!(install(&mut client).unwrap().repaired, [""; 0]);
    }
    assert!(dropped > 30 && kept > 10, "{dropped}, {kept}");
}

#[test]
fn a_view_that_was_dropped_or_altered_is_restored() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    let whole = schema(&mut client);
    for damage in [
        "DROP VIEW phasegate.phasegate_rows",
        "DROP VIEW phasegate.own_lock CASCADE",
        "CREATE OR REPLACE VIEW phasegate.lost_guard AS SELECT NULL::oid AS relation",
    ] {
        client.batch_execute(damage).unwrap();
        assert_ne!(install(&mut client).unwrap().repaired, [""; 0], "{damage}");
        assert_eq!(schema(&mut client), whole, "{damage}");
        assert_eq!(install(&mut client).unwrap().repaired, [""; 0]);
    }
}

/// `sql/installed.txt` is what an auditor compares a database with. `PHASEGATE_RECORD=1` writes it.
#[test]
fn the_installed_schema_is_the_one_on_record() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    let lines: Vec<String> = client
        .simple_query(include_str!("../sql/snapshot.sql"))
        .unwrap()
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert!(lines.len() > 500, "{lines:#?}");
    let found = lines.join("\n") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/installed.txt");
    if env::var("PHASEGATE_RECORD").is_ok_and(|record| record == "1") {
        fs::write(&path, found).unwrap();
        return;
    }
    let record = fs::read_to_string(&path).unwrap();
    let only = |these: &str, those: &str| -> Vec<String> {
        let known: BTreeSet<&str> = those.lines().collect();
        let new = these.lines().filter(|line| !known.contains(line));
        new.map(str::to_owned).collect()
    };
    assert!(
        record == found,
        "sql/installed.txt is not what is installed (PHASEGATE_RECORD=1 writes it).\ninstalled: {:#?}\non record: {:#?}",
        only(&found, &record),
        only(&record, &found)
    );
}

/// `.ci/plpgsql_check` runs it where the extension is; elsewhere the compiler's own checks have to do.
#[test]
fn plpgsql_check_has_nothing_to_say_of_any_function() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    // At least that no variable hides another one, and that no query returns a row too many.
    client
        .batch_execute("SET plpgsql.extra_errors = 'all'")
        .unwrap();
    install(&mut client).unwrap();
    if !env::var("PHASEGATE_PLPGSQL_CHECK").is_ok_and(|check| check == "1") {
        return;
    }
    client
        .batch_execute("CREATE EXTENSION plpgsql_check")
        .unwrap();
    // The table of a trigger's function is any: what it reads of it are the operation and the names.
    let sql = "SELECT p.proname || ': ' || coalesce(c.lineno::text, '') || ' ' || c.level || ': ' || c.message \
               FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql', \
                    plpgsql_check_function_tb(p.oid, CASE WHEN p.prorettype = 'trigger'::regtype \
                        THEN coalesce((SELECT t.tgrelid FROM pg_trigger AS t WHERE t.tgfoid = p.oid LIMIT 1), \
                                      'phasegate.run'::regclass) \
                        ELSE 0 END, extra_warnings => true, performance_warnings => false, \
                        oldtable => CASE p.proname WHEN 'count_rows' THEN 'phasegate_old_rows' END, \
                        newtable => CASE p.proname WHEN 'count_rows' THEN 'phasegate_rows' END) AS c \
               WHERE p.pronamespace = 'phasegate'::regnamespace";
    let rows = client.query(sql, &[]).unwrap();
    let said: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(said, [""; 0]);
}

/// The names that the SQL of this release has by `sql/README.md`.
#[test]
fn parameters_and_variables_have_their_prefix() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    let parameters = "SELECT p.proname || '.' || a.name FROM pg_proc AS p, \
        unnest(p.proargnames, p.proargmodes) AS a (name, mode) \
        WHERE p.pronamespace = 'phasegate'::regnamespace \
          AND coalesce(a.mode, 'i') IN ('i', 'v') AND a.name !~ '^p_'";
    let named = |client: &mut Client, sql: &str| -> Vec<String> {
        let rows = client.query(sql, &[]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(named(&mut client, parameters), [""; 0]);
    let variables = "SELECT p.proname || '.' || m.name[1] FROM pg_proc AS p \
        CROSS JOIN LATERAL regexp_matches(substring(p.prosrc FROM 'DECLARE\\n(.*?)\\nBEGIN'), \
            '^    ([a-z_]+) ', 'gn') AS m (name) \
        WHERE p.pronamespace = 'phasegate'::regnamespace AND m.name[1] !~ '^v_'";
    assert_eq!(named(&mut client, variables), [""; 0]);
}

#[test]
fn what_cannot_be_put_back_is_named() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    for (drop, names) in [
        ("DROP TABLE phasegate.retention", "phasegate.retention"),
        ("DROP SEQUENCE phasegate.epoch CASCADE", "phasegate.epoch"),
        (
            "DROP TRIGGER interlock ON phasegate.attempt",
            "interlock on phasegate.attempt",
        ),
    ] {
        let mut tx = client.transaction().unwrap();
        tx.batch_execute(drop).unwrap();
        tx.commit().unwrap();
        let error = install(&mut client).unwrap_err();
        let InstallError::Incomplete { missing } = &error else {
            panic!("{error}");
        };
        assert!(missing.iter().any(|missing| missing == names), "{error}");
    }
    client
        .batch_execute("DROP SCHEMA phasegate CASCADE")
        .unwrap();
    install(&mut client).unwrap();
    client
        .batch_execute(
            "SET ROLE phasegate_owner; CREATE FUNCTION phasegate.protect(text) RETURNS void LANGUAGE sql RETURN NULL; RESET ROLE",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(matches!(&error, InstallError::Foreign { .. }), "{error}");
    assert!(
        error.to_string().contains("phasegate.protect(text)"),
        "{error}"
    );
}

/// Such a role could wait for a superuser to call its functions.
#[test]
fn a_schema_or_a_role_that_another_role_has_made_is_refused() {
    let server = server();
    let database = server.create_database().unwrap();
    let owner = database.create_role("owner").unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    let name = owner.name();
    let its = |client: &mut Client, make: &str| {
        client.batch_execute(&format!("BEGIN; {make}")).unwrap();
        client.batch_execute("COMMIT").unwrap();
        let error = install(client).unwrap_err();
        assert!(matches!(error, InstallError::Unfit(_)), "{make}: {error}");
        format!("{error}; {}", error.hint().unwrap())
    };
    let schema = format!("CREATE SCHEMA phasegate AUTHORIZATION {name}");
    let said = its(&mut client, &schema);
    assert!(
        said.contains(&format!("the schema belongs to {name}")),
        "{said}"
    );
    client.batch_execute("DROP SCHEMA phasegate").unwrap();

    install(&mut client).unwrap();
    let function = format!(
        "CREATE FUNCTION phasegate.mine() RETURNS int LANGUAGE sql RETURN 1; \
         ALTER FUNCTION phasegate.mine() OWNER TO {name}"
    );
    let said = its(&mut client, &function);
    assert!(
        said.contains(&format!("phasegate.mine() belongs to {name}")),
        "{said}"
    );
    client
        .batch_execute("DROP FUNCTION phasegate.mine()")
        .unwrap();

    let said = its(
        &mut client,
        &format!("GRANT CREATE ON SCHEMA phasegate TO {name}"),
    );
    assert!(
        said.contains(&format!("{name} may create objects")),
        "{said}"
    );
    client
        .batch_execute(&format!("REVOKE CREATE ON SCHEMA phasegate FROM {name}"))
        .unwrap();

    let said = its(&mut client, &format!("GRANT phasegate_owner TO {name}"));
    assert!(
        said.contains(&format!("{name} can change the schema")),
        "{said}"
    );
    client
        .batch_execute(&format!("REVOKE phasegate_owner FROM {name}"))
        .unwrap();

    for attribute in [
        "LOGIN",
        "SUPERUSER",
        "CREATEROLE",
        "CREATEDB",
        "REPLICATION",
        "BYPASSRLS",
    ] {
        for role in [
            "phasegate_owner",
            "phasegate_operator",
            "phasegate_runner",
            "phasegate_auditor",
        ] {
            let said = its(&mut client, &format!("ALTER ROLE {role} {attribute}"));
            assert!(said.contains(&format!("{role} has {attribute}")), "{said}");
            client
                .batch_execute(&format!("ALTER ROLE {role} NO{attribute}"))
                .unwrap();
        }
    }
    assert!(install(&mut client).unwrap().applied.is_empty());
}

#[test]
fn a_newer_schema_and_an_altered_one_are_refused() {
    let server = server();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    install(&mut client).unwrap();
    client
        .batch_execute(
            "INSERT INTO phasegate.schema_version (version, digest) VALUES (999, 'of the future')",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(
        matches!(&error, InstallError::Newer { found } if found == "version 999"),
        "{error}"
    );
    client
        .batch_execute(
            "DELETE FROM phasegate.schema_version WHERE version = 999; \
             UPDATE phasegate.schema_version SET digest = '1' WHERE version = 1",
        )
        .unwrap();
    let error = install(&mut client).unwrap_err();
    assert!(
        matches!(&error, InstallError::Divergent { found } if found == "version 1"),
        "{error}"
    );
}

#[test]
fn an_error_names_each_privilege_that_a_plain_role_lacks() {
    let server = server();
    let database = server.create_database().unwrap();
    let role = database.create_role("plain").unwrap();
    let name = role.name();
    let mut admin = database.admin().connect(NoTls).unwrap();
    let database_name: String = admin
        .query_one("SELECT current_database()", &[])
        .unwrap()
        .get(0);
    let refused = || {
        let error = install(&mut role.config().connect(NoTls).unwrap()).unwrap_err();
        assert!(matches!(error, InstallError::Privilege(_)), "{error}");
        format!("{error}; {}", error.hint().unwrap())
    };
    let said = refused();
    assert!(said.contains("may not create it"), "{said}");
    assert!(said.contains("CREATE ROLE phasegate_auditor"), "{said}");
    admin
        .batch_execute(
            "CREATE ROLE phasegate_owner; CREATE ROLE phasegate_operator; CREATE ROLE phasegate_runner; \
             CREATE ROLE phasegate_auditor",
        )
        .unwrap();
    let said = refused();
    assert!(
        said.contains(&format!("GRANT phasegate_owner TO {name}")),
        "{said}"
    );
    admin
        .batch_execute(&format!("GRANT phasegate_owner TO {name}"))
        .unwrap();
    let said = refused();
    assert!(
        said.contains(&format!("GRANT CREATE ON DATABASE {database_name}")),
        "{said}"
    );
    admin
        .batch_execute(&format!("ALTER DATABASE {database_name} OWNER TO {name}"))
        .unwrap();
    let mut client = role.config().connect(NoTls).unwrap();
    let installed = install(&mut client).unwrap();
    assert!(!installed.applied.is_empty());
    // And what it could not grant is said, with what helps.
    assert_eq!(installed.lacking.len(), 2, "{installed:?}");
    assert!(installed.lacking[0].contains("GRANT pg_signal_backend TO phasegate_owner"));
    let again = install(&mut client).unwrap();
    assert!(
        again.applied.is_empty() && again.repaired.is_empty(),
        "{again:?}"
    );
}

/// As an administrator of a managed service is one.
#[test]
fn a_role_that_may_create_roles_and_owns_the_database_installs() {
    let server = server();
    let database = server.create_database().unwrap();
    let role = database.create_role("administrator").unwrap();
    let mut admin = database.admin().connect(NoTls).unwrap();
    let database_name: String = admin
        .query_one("SELECT current_database()", &[])
        .unwrap()
        .get(0);
    admin
        .batch_execute(&format!(
            "ALTER ROLE {0} CREATEROLE; ALTER DATABASE {database_name} OWNER TO {0}",
            role.name()
        ))
        .unwrap();
    let mut client = role.config().connect(NoTls).unwrap();
    assert!(!install(&mut client).unwrap().applied.is_empty());
    assert!(install(&mut client).unwrap().applied.is_empty());
}

#[test]
fn a_database_that_cannot_hold_all_characters_is_refused() {
    let server = server();
    let mut admin = server.admin().connect(NoTls).unwrap();
    admin
        .batch_execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        )
        .unwrap();
    let mut config = server.admin();
    let error = install(&mut config.dbname("latin").connect(NoTls).unwrap()).unwrap_err();
    assert!(
        matches!(&error, InstallError::NotUtf8 { found } if found == "LATIN1"),
        "{error}"
    );
}

#[test]
fn without_the_schema_a_live_run_is_refused_with_the_call() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ready = database.live_by(plan, TripwireAdapter);
    database.sql("DROP SCHEMA phasegate CASCADE");
    let refused = refusal(ready.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    assert!(
        matches!(refused.reason(), RefusalReason::NotInstalled { .. }),
        "{refused}"
    );
    let hint = refused.hint().unwrap();
    assert!(
        hint.contains("`phasegate::schema::install(&mut client)`"),
        "{hint}"
    );
}

#[test]
fn a_role_that_may_not_perform_phases_is_told_what_to_grant() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ready = database.live_by(plan, TripwireAdapter);
    let runner = database.runner.name();
    database.sql(&format!("REVOKE phasegate_runner FROM {runner}"));
    let refused = refusal(ready.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    let grant = format!("GRANT phasegate_runner TO {runner}");
    assert!(
        matches!(refused.reason(), RefusalReason::NotARunner { .. }),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains(&grant), "{refused}");
    database.sql(&grant);
}
