//! With `DATABASE_URL` the harness uses the server named and leaves it as it was.

use phasegate::testing::TestPostgres;
use postgres::NoTls;

use crate::child::Program;

/// Everything that a shared server must have afterwards as before.
const STATE: &str = "SELECT string_agg(what, ', ' ORDER BY what) FROM (
    SELECT 'database ' || datname || coalesce(datacl::text, '') AS what FROM pg_database
    UNION ALL SELECT 'role ' || rolname FROM pg_roles) AS everything";

#[test]
fn the_server_named_is_used_and_left_as_it_was() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("there is a server to start");
    let mut admin = server.admin().connect(NoTls).expect("it answers");
    admin
        .batch_execute(
            "CREATE ROLE capable LOGIN CREATEDB CREATEROLE PASSWORD 'hush'; \
             CREATE ROLE incapable LOGIN; \
             CREATE ROLE half LOGIN CREATEDB",
        )
        .and_then(|()| admin.batch_execute("CREATE DATABASE shop"))
        .expect("they exist");
    let before: String = admin.query_one(STATE, &[]).expect("an answer").get(0);
    let directory = server
        .directory()
        .expect("it is private")
        .display()
        .to_string();
    let url = |user: &str| format!("host='{directory}' user={user} password=hush dbname=shop");

    for user in ["postgres", "capable"] {
        let mut program = Program::start("use", &[("DATABASE_URL", &url(user))]);
        let source = program.told("source");
        let place =
            format!("at {directory}/.s.PGSQL.5432 (user {user}, database shop), from DATABASE_URL");
        assert!(
            source.contains(&place) && !source.contains("hush"),
            "{source}"
        );
        assert!(program.told("database").starts_with("phasegate_db_"));
        let role = program.told("role");
        assert_eq!(program.told("user"), role);
        program.told("ready");
        program.wait();
        let after: String = admin.query_one(STATE, &[]).expect("an answer").get(0);
        assert_eq!(before, after, "{user}");
    }

    for (user, lacking) in [
        ("incapable", "lacks CREATEDB and CREATEROLE"),
        ("half", "lacks CREATEROLE | As a superuser"),
    ] {
        let error = Program::start("use", &[("DATABASE_URL", &url(user))]).told("error");
        assert!(
            error.contains(lacking) && !error.contains("hush"),
            "{error}"
        );
    }
}

#[test]
fn a_role_in_a_shared_server_has_a_password() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .expect("there is a server to start");
    let directory = server.directory().expect("it is private");
    let hba = directory.join("data/pg_hba.conf");
    std::fs::write(
        hba,
        "local all postgres trust\nlocal all all scram-sha-256\n",
    )
    .expect("it can be written");
    let mut admin = server.admin().connect(NoTls).expect("it answers");
    admin
        .batch_execute("SELECT pg_reload_conf()")
        .expect("it is read again");
    let url = format!("host='{}' user=postgres", directory.display());
    let mut program = Program::start("use", &[("DATABASE_URL", &url)]);
    let role = program.told("role");
    assert_eq!(program.told("user"), role);
    program.told("ready");
    program.wait();

    std::fs::write(
        directory.join("data/pg_hba.conf"),
        "local all postgres trust\n",
    )
    .expect("it can be written");
    admin
        .batch_execute("SELECT pg_reload_conf()")
        .expect("it is read again");
    let source = Program::start("use", &[("DATABASE_URL", &url)]).told("source");
    assert!(source.ends_with("from DATABASE_URL"), "{source}");
}

#[test]
fn a_setting_is_demanded_of_a_shared_server_and_not_set() {
    for value in ["0", "7"] {
        let server = TestPostgres::builder()
            .ignore_database_url()
            .setting("max_prepared_transactions", value)
            .start()
            .expect("there is a server to start");
        let url = format!(
            "host='{}' user=postgres",
            server.directory().expect("it is private").display()
        );
        let mut program = Program::start("need a setting", &[("DATABASE_URL", &url)]);
        if value == "7" {
            program.told("ready");
        } else {
            let error = program.told("error");
            assert!(
                error.contains("it has max_prepared_transactions = '0', and '7' is needed"),
                "{error}"
            );
        }
    }
}
