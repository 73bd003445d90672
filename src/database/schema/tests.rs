#![allow(clippy::unwrap_used)]

use ::postgres::{Client, NoTls};

use super::repair::statements;
use super::{InstallError, ROLES, VERSIONS, install, install_versions};
use crate::testing::TestPostgres;

const SECOND: &str = "CREATE TABLE phasegate.of_version_2 (id integer);\n\
    CREATE FUNCTION phasegate.of_version_2() RETURNS integer LANGUAGE sql\nRETURN 2;\n";

fn with_second() -> Vec<&'static str> {
    let mut versions = VERSIONS.to_vec();
    versions.push(SECOND);
    versions
}

fn count(client: &mut Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).unwrap().get(0)
}

#[test]
fn an_upgrade_applies_what_is_missing_and_keeps_the_rows() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    assert_eq!(install(&mut client).unwrap().applied, ["1"]);
    client
        .batch_execute("UPDATE phasegate.kill_switch SET reason = 'before the upgrade'")
        .unwrap();

    let upgraded = install_versions(&mut client, &with_second()).unwrap();
    assert_eq!(
        (upgraded.applied, upgraded.repaired),
        (vec!["2".to_owned()], vec![])
    );
    let kept = "SELECT count(*) FROM phasegate.kill_switch WHERE reason = 'before the upgrade'";
    assert_eq!(count(&mut client, kept), 1);

    // The release before does not know it.
    let error = install(&mut client).unwrap_err();
    assert!(
        matches!(&error, InstallError::Newer { found } if found == "version 2"),
        "{error}"
    );

    let database = server.create_database().unwrap();
    let mut client = database.admin().connect(NoTls).unwrap();
    let fresh = install_versions(&mut client, &with_second()).unwrap();
    assert_eq!(fresh.applied, ["1", "2"]);
}

#[test]
fn each_line_of_the_sql_has_at_most_100_columns() {
    let wide = VERSIONS
        .iter()
        .chain([&ROLES])
        .flat_map(|sql| sql.lines())
        .find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
}

#[test]
fn each_statement_is_one_that_the_repair_knows() {
    let known = [
        "CREATE FUNCTION ",
        "CREATE VIEW ",
        "CREATE TABLE ",
        "CREATE UNLOGGED TABLE ",
        "CREATE SEQUENCE ",
        "CREATE UNLOGGED SEQUENCE ",
        "CREATE INDEX ",
        "CREATE TRIGGER ",
        "CREATE CONSTRAINT TRIGGER ",
        "ALTER TABLE ",
        "GRANT ",
        "INSERT INTO ",
        "SELECT pg_catalog.setval(",
    ];
    let all: Vec<String> = VERSIONS.iter().flat_map(|sql| statements(sql)).collect();
    assert!(all.len() > 100, "{}", all.len());
    for statement in all {
        assert!(
            known.iter().any(|begin| statement.starts_with(begin)),
            "{statement}"
        );
    }
}
