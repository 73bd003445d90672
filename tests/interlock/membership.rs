//! Who is a runner: a role that may act as `phasegate_runner`, and no other.

use phasegate::testing::TestPostgres;
use postgres::NoTls;

use crate::hand::{INSERT, does, psql, refuses};
use crate::server::{all, database, database_on};

#[test]
fn a_missing_role_has_no_members_and_holds_up_no_write() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = database_on(&server);
    let application = database.role("application");
    database.sql(&format!(
        "GRANT INSERT, DELETE ON item TO {}",
        application.name()
    ));
    refuses(&mut psql(&database), INSERT, "ZG007");
    for role in ["runner", "operator", "auditor"] {
        database.sql(&format!(
            "DROP OWNED BY phasegate_{role}; DROP ROLE phasegate_{role}"
        ));
    }
    let mut session = application.config().connect(NoTls).unwrap();
    does(&mut session, INSERT);
    does(&mut session, "DELETE FROM item");
    database.sql(INSERT);
    // It was a member, and may still write by the privileges that it was granted itself.
    does(&mut psql(&database), "UPDATE item SET state = 'x'");
    assert_eq!(database.items(), all(&["smuggled"], "x"));
    // And what asks for members of the others finds none.
    for call in [
        "phasegate.may_read('')",
        "pg_catalog.count(*) FROM phasegate.journal_of('')",
        "pg_catalog.count(*) FROM phasegate.bypass_privileges('postgres')",
        "phasegate.may_bypass('postgres')",
    ] {
        database.sql(&format!("SELECT {call}"));
    }
    let resolve = "SELECT phasegate.resolve('', gen_random_uuid(), now(), 0, now(), '1 s')";
    refuses(&mut database.admin(), resolve, "ZG022");
}

/// What README says: the guard is for runners, and who is none any more writes by the privileges that it has. In the order
/// that README gives, nothing is open in between.
#[test]
fn a_role_that_was_a_runner_writes_by_its_privileges_and_is_stopped_in_this_order() {
    let database = database();
    let runner = database.runner.name();
    let mut session = psql(&database);
    refuses(&mut session, INSERT, "ZG007");
    database.sql(&format!("REVOKE phasegate_runner FROM {runner}"));
    does(&mut session, INSERT);
    assert_eq!(database.items().len(), 1);

    database.sql(&format!(
        "GRANT phasegate_runner TO {runner}; DELETE FROM item"
    ));
    let _ = database
        .operator()
        .switch_off("an incident", std::time::Duration::from_secs(1))
        .unwrap();
    for step in [
        format!("ALTER ROLE {runner} NOLOGIN"),
        format!("REVOKE ALL ON item FROM {runner}"),
        format!("REVOKE phasegate_runner FROM {runner}"),
    ] {
        database.sql(&step);
        assert!(session.batch_execute(INSERT).is_err(), "{step}");
    }
    assert_eq!(database.items(), []);
}

/// Since PostgreSQL 16 the role that creates another one is a member of it, with ADMIN OPTION and nothing else.
#[test]
fn the_role_that_created_a_runner_is_no_runner() {
    let database = database();
    let creator = database.role("creator");
    let version: i32 = database.ask("SELECT current_setting('server_version_num')::int");
    let runner = format!("{}_made", creator.name());
    database.sql(&format!(
        "GRANT INSERT, DELETE ON item TO {0}; ALTER ROLE {0} CREATEROLE; \
         GRANT phasegate_runner TO {0} WITH ADMIN OPTION",
        creator.name()
    ));
    let mut session = creator.config().connect(NoTls).unwrap();
    // It is a runner while it may act as one.
    refuses(&mut session, INSERT, "ZG007");
    if version >= 160_000 {
        database.sql(&format!(
            "GRANT phasegate_runner TO {} WITH INHERIT FALSE, SET FALSE",
            creator.name()
        ));
        does(&mut session, &format!("CREATE ROLE {runner} LOGIN"));
        does(&mut session, &format!("GRANT phasegate_runner TO {runner}"));
        let member = format!(
            "SELECT pg_has_role('{}', '{runner}', 'MEMBER')",
            creator.name()
        );
        assert!(database.ask::<bool>(&member));
        does(&mut session, INSERT);
        // It becomes one as soon as it may set the role, or inherit what that may do.
        for option in ["SET TRUE", "SET FALSE, INHERIT TRUE"] {
            database.sql(&format!(
                "GRANT {runner} TO {} WITH {option}",
                creator.name()
            ));
            refuses(&mut session, "DELETE FROM item", "ZG007");
        }
        database.sql(&format!("DROP OWNED BY {runner}; DROP ROLE {runner}"));
    }
}
