//! A scratch role can log in and nothing more.

use phasegate::testing::TestPostgres;
use postgres::NoTls;

#[test]
fn a_role_has_neither_create_nor_temp_nor_any_attribute() {
    let server = TestPostgres::find_or_start().expect("there is a server");
    let database = server.create_database().expect("a database");
    let role = database.create_role("Phase runner").expect("a role");
    let twin = database
        .create_role("Phase runner")
        .expect("a role of the same label");
    assert!(role.name().contains("phase_runner"), "{}", role.name());
    assert_ne!(role.name(), twin.name());
    let mut client = role.config().connect(NoTls).expect("the role may connect");
    let row = client
        .query_one(
            "SELECT current_user::text, current_database()::text, \
                    has_database_privilege(current_database(), 'CONNECT'), \
                    has_database_privilege(current_database(), 'CREATE'), \
                    has_database_privilege(current_database(), 'TEMP'), \
                    has_schema_privilege('public', 'CREATE'), \
                    rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls \
               FROM pg_roles WHERE rolname = current_user",
            &[],
        )
        .expect("an answer");
    assert_eq!(row.get::<_, String>(0), role.name());
    assert_eq!(row.get::<_, String>(1), database.name());
    let rights: Vec<bool> = (2..7).map(|column| row.get(column)).collect();
    assert_eq!(rights, [true, false, false, false, false]);
    for statement in [
        "CREATE TABLE t ()",
        "CREATE TEMP TABLE t ()",
        "CREATE SCHEMA s",
        "CREATE ROLE r",
        "CREATE DATABASE d",
        "SET ROLE postgres",
    ] {
        let error = client.batch_execute(statement).expect_err(statement);
        assert_eq!(
            error.code().map(postgres::error::SqlState::code),
            Some("42501"),
            "{statement}: {error:?}"
        );
    }
    // The administrator can, in the same place.
    database
        .admin()
        .connect(NoTls)
        .expect("it answers")
        .batch_execute("CREATE SCHEMA s; CREATE TABLE public.t (); CREATE TEMP TABLE u ()")
        .expect("the administrator may");
}
