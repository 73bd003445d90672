//! Scratch databases are new, closed, and gone afterwards.

use std::sync::OnceLock;

use phasegate::testing::{Shutdown, TestPostgres};
use postgres::{Client, NoTls};

fn server() -> &'static TestPostgres {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    SERVER.get_or_init(|| TestPostgres::find_or_start().expect("there is a server"))
}

fn count(client: &mut Client, query: &str, name: &str) -> i64 {
    client.query_one(query, &[&name]).expect("an answer").get(0)
}

const DATABASES: &str = "SELECT count(*) FROM pg_database WHERE datname = $1";
const ROLES: &str = "SELECT count(*) FROM pg_roles WHERE rolname = $1";

#[test]
fn a_database_and_its_roles_are_dropped_even_while_connected() {
    let database = server().create_database().expect("a database");
    let role = database.create_role("runner").expect("a role");
    let reserved = database.reserve_role("owner");
    let unused = database.reserve_role("unused");
    let name = database.name().to_owned();
    let mut admin = database.admin().connect(NoTls).expect("it answers");
    admin
        .batch_execute(&format!(
            "CREATE ROLE {reserved}; CREATE SCHEMA s AUTHORIZATION {reserved}; \
             GRANT USAGE ON SCHEMA s TO {}; \
             ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {}; GRANT {reserved} TO {}",
            role.name(),
            role.name(),
            role.name()
        ))
        .expect("they exist");
    let _connected = role.config().connect(NoTls).expect("the role may connect");
    let mut outside = server().admin().connect(NoTls).expect("it answers");
    assert_eq!(count(&mut outside, DATABASES, &name), 1);
    drop(database);
    assert_eq!(count(&mut outside, DATABASES, &name), 0);
    for role in [role.name(), &reserved, &unused] {
        assert_eq!(count(&mut outside, ROLES, role), 0);
    }
    assert!(admin.simple_query("SELECT 1").is_err());
}

#[test]
fn databases_are_apart() {
    let (one, other) = (
        server().create_database().expect("one"),
        server().create_database().expect("another"),
    );
    assert_ne!(one.name(), other.name());
    one.admin()
        .connect(NoTls)
        .expect("it answers")
        .batch_execute("CREATE TABLE t ()")
        .expect("a table");
    other
        .admin()
        .connect(NoTls)
        .expect("it answers")
        .batch_execute("CREATE TABLE t ()")
        .expect("a table");
    other.remove().expect("it is dropped");
    one.remove().expect("it is dropped");
}

#[test]
fn a_prepared_transaction_does_not_keep_a_database() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_prepared_transactions", "5")
        .start()
        .expect("there is a server to start");
    let database = server.create_database().expect("a database");
    let mut client = database.admin().connect(NoTls).expect("it answers");
    client
        .batch_execute("BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'it''s left'")
        .expect("it is prepared");
    database.remove().expect("it is dropped all the same");
}

#[test]
fn a_database_may_outlive_its_server() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("there is a server to start");
    let (one, other) = (
        server.create_database().expect("one"),
        server.create_database().expect("another"),
    );
    server.shut_down(Shutdown::Kill).expect("it is killed");
    drop(one);
    drop(server);
    other.remove().expect_err("no role may drop it");
}

#[test]
fn databases_are_made_side_by_side() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                server()
                    .create_database()
                    .expect("a database")
                    .remove()
                    .expect("it is dropped");
            });
        }
    });
}
