#![allow(clippy::unwrap_used)]

use ::postgres::{Client, NoTls};
use refinery_core::Target;

use super::{MIGRATIONS, install, install_up_to};
use crate::testing::TestPostgres;

/// Every object of the schema, as text.
fn schema(client: &mut Client) -> Vec<String> {
    let sql = "
        SELECT 'column ' || a.attrelid::regclass || a.attnum || a.attname || format_type(a.atttypid, a.atttypmod)
               || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'phasegate'::regnamespace AND a.attnum > 0
        UNION ALL SELECT 'rights ' || c.relname || coalesce(c.relacl::text, '')
        FROM pg_class AS c WHERE c.relnamespace = 'phasegate'::regnamespace
        UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
        FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) || t.tgenabled::text
        FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'phasegate'::regnamespace AND NOT t.tgisinternal
        ORDER BY 1";
    let rows = client.query(sql, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn an_upgrade_from_any_version_ends_where_a_new_install_does_and_keeps_what_was_there() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let connect = || {
        let database = server.create_database().unwrap();
        let client = database.admin().connect(NoTls).unwrap();
        (database, client)
    };
    let (_fresh, mut client) = connect();
    install(&mut client).unwrap();
    let expected = schema(&mut client);
    assert!(expected.len() > 100, "{expected:#?}");
    for version in 1..MIGRATIONS.len() {
        let (_old, mut client) = connect();
        let target = Target::Version(i32::try_from(version).unwrap());
        let applied = install_up_to(&mut client, target).unwrap().applied;
        assert_eq!(applied.len(), version);
        let on = "UPDATE phasegate.kill_switch SET why = 'before the upgrade'";
        client.batch_execute(on).unwrap();
        let upgraded = install(&mut client).unwrap().applied;
        assert_eq!(upgraded.len(), MIGRATIONS.len() - version);
        assert_eq!(schema(&mut client), expected, "from version {version}");
        let why = "SELECT why FROM phasegate.kill_switch";
        let kept: String = client.query_one(why, &[]).unwrap().get(0);
        assert_eq!(kept, "before the upgrade");
    }
}

#[test]
fn migrations_are_numbered_without_a_gap() {
    for ((name, _), version) in MIGRATIONS.iter().zip(1..) {
        assert!(name.starts_with(&format!("V{version}__")), "{name}");
    }
}
