//! The five schemas, each in a database of its own, wholly under guard, and open to the runner.

use postgres::Client;

use crate::server::{Database, database};

pub(crate) struct Schema {
    pub(crate) sql: &'static str,
    /// As it is written in SQL.
    pub(crate) name: &'static str,
    pub(crate) statements: &'static [&'static str],
    pub(crate) copies: &'static [&'static str],
    /// Has deferred triggers and constraints happen.
    pub(crate) resolve: Option<&'static str>,
}

impl Schema {
    pub(crate) fn build(&self) -> Database {
        let database = database();
        let runner = database.runner.name().to_owned();
        let mut admin = database.admin();
        admin.batch_execute(self.sql).unwrap();
        grant(&mut admin, self.name, &runner);
        protect(&mut admin);
        database
    }
}

fn grant(admin: &mut Client, schema: &str, runner: &str) {
    admin
        .batch_execute(&format!(
            "GRANT USAGE ON SCHEMA {schema} TO {runner}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {runner}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {runner}; \
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {runner}"
        ))
        .unwrap();
}

/// Every table that is no part of another one, with its parts.
pub(crate) fn protect(admin: &mut Client) {
    admin
        .batch_execute(
            "DO $$ DECLARE t regclass; BEGIN \
                 FOR t IN SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                          WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('phasegate', 'pg_catalog', 'information_schema') \
                            AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid) LOOP \
                     PERFORM phasegate.protect(t); \
                 END LOOP; \
             END $$",
        )
        .unwrap();
}

/// What the sequences have come to, as the statements that put them back there.
pub(crate) fn sequences(admin: &mut Client) -> String {
    let rows = admin.query(
        "SELECT format('SELECT setval(%L, %s, %L);', format('%I.%I', schemaname, sequencename), \
                       coalesce(last_value, start_value), last_value IS NOT NULL) \
         FROM pg_sequences WHERE schemaname <> 'phasegate'",
        &[],
    );
    let rows = rows.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0)).collect()
}

pub(crate) const SHOP: Schema = Schema {
    sql: include_str!("schemas/shop.sql"),
    name: "shop",
    statements: &[
        "INSERT INTO shop.customer VALUES ({n}, 'x{n}@shop')",
        "INSERT INTO shop.customer VALUES ({i}, 'y@shop') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
        "INSERT INTO shop.customer SELECT g, 'z@shop' FROM generate_series({i}, 44) AS g ON CONFLICT DO NOTHING",
        "UPDATE shop.customer SET standing = 'barred' WHERE {where id}",
        "UPDATE shop.customer SET referred_by = {s} + 1 WHERE {where id}",
        "DELETE FROM shop.customer WHERE {where id}",
        "INSERT INTO shop.product (id, price) VALUES ({n}, {i} - 10), ({n}, {i})",
        "INSERT INTO shop.product (id, stock) SELECT g, 100 FROM generate_series(1, 20) AS g ON CONFLICT DO NOTHING",
        "UPDATE shop.product SET price = price + {s} - 2 WHERE {where id}",
        "UPDATE shop.product SET id = {n} WHERE id = {i}",
        "DELETE FROM shop.product WHERE {where id}",
        "MERGE INTO shop.product AS p USING generate_series({i}, {i} + 10) AS g ON p.id = g \
         WHEN MATCHED AND p.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET price = p.price + 1 \
         WHEN NOT MATCHED THEN INSERT (id) VALUES (g)",
        "INSERT INTO shop.placed SELECT {n}, id FROM shop.customer ORDER BY id LIMIT 1",
        "INSERT INTO shop.line (placed, product, amount) SELECT p.id, {s} + 1, {s} FROM shop.placed AS p WHERE {where p.id}",
        "UPDATE shop.line SET amount = amount + 1 WHERE {where placed}",
        "DELETE FROM shop.line WHERE {where nr}",
        "INSERT INTO shop.regular VALUES ({n}, 'r{n}@shop', 'regular')",
        "UPDATE shop.regular SET email = 'new{n}@shop' WHERE {where id}",
        "DELETE FROM shop.regular WHERE {where id}",
        "INSERT INTO shop.ordered SELECT {n}, id, 2 FROM shop.customer ORDER BY id LIMIT 1",
        "UPDATE shop.ordered SET customer = (SELECT min(id) FROM shop.customer) WHERE {where id}",
        "DELETE FROM shop.ordered WHERE {where id}",
        "INSERT INTO shop.cart VALUES ({i}, {i})",
        "DELETE FROM shop.cart WHERE {where customer}",
        "INSERT INTO shop.booking VALUES ({n}, int4range({i} * 100, {i} * 100 + 50))",
        "WITH gone AS (DELETE FROM shop.cart WHERE {where customer} RETURNING *), \
              kept AS (INSERT INTO shop.audit (what) SELECT product::text FROM gone RETURNING 1) \
         UPDATE shop.product SET stock = stock + 1 WHERE id IN (SELECT product FROM gone)",
    ],
    copies: &[
        "COPY shop.cart FROM STDIN|{i}\t{i}",
        "COPY shop.product (id, price) FROM STDIN (FORMAT csv)|{n},{i}",
    ],
    resolve: None,
};

pub(crate) const LEDGER: Schema = Schema {
    sql: include_str!("schemas/ledger.sql"),
    name: "ledger",
    statements: &[
        "INSERT INTO ledger.account VALUES ({n})",
        "INSERT INTO ledger.entry VALUES ({n}, {s} + 1, {i}), ({n}, {s} + 1, {i})",
        "INSERT INTO ledger.entry SELECT {n} * 100 + g, a.id, g FROM generate_series(1, {s}) AS g, ledger.account AS a",
        "INSERT INTO ledger.entry VALUES ({i}, {s} + 1, 7) ON CONFLICT (id) DO UPDATE SET amount = 7",
        "UPDATE ledger.entry SET amount = amount + 1 WHERE {where id}",
        "DELETE FROM ledger.entry WHERE id % 41 = {i}",
        "DELETE FROM ledger.account WHERE id = {i} + 5",
        "UPDATE ledger.account SET head = (SELECT max(id) FROM ledger.entry AS e WHERE e.account = account.id) WHERE {where id}",
        "UPDATE ledger.balance SET total = total WHERE {where account}",
        "DELETE FROM ledger.balance WHERE account = {i}",
        "INSERT INTO ledger.frozen VALUES ({n}, 'f')",
        "UPDATE ledger.frozen SET note = 'other' WHERE {where id}",
        "DELETE FROM ledger.frozen WHERE id = {i}",
        "INSERT INTO ledger.archive VALUES ({n}, 'a')",
        "DELETE FROM ledger.archive WHERE {where id}",
        "UPDATE ledger.archive SET gone = false WHERE {where id}",
        "DELETE FROM ledger.open_account WHERE id = {i}",
        "UPDATE ledger.open_account SET head = NULL WHERE {where id}",
        "MERGE INTO ledger.balance AS b USING (SELECT g, {s} AS more FROM generate_series({i}, {i} + 3) AS g) AS s ON b.account = s.g \
         WHEN MATCHED AND s.more = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET total = b.total + s.more \
         WHEN NOT MATCHED THEN INSERT VALUES (s.g, s.more)",
        "DELETE FROM ledger.checked WHERE {where account}",
        "WITH more AS (INSERT INTO ledger.entry VALUES ({n}, {s} + 1, 1) RETURNING account) \
         UPDATE ledger.account AS a SET closed = false FROM more WHERE more.account = a.id",
    ],
    copies: &[
        "COPY ledger.entry FROM STDIN|{n}\t3\t{i}",
        "COPY ledger.checked FROM STDIN|{i}\t{i}",
    ],
    resolve: Some(
        "SET CONSTRAINTS ledger.head_is_there, ledger.entry_account_fkey, ledger.check_balance IMMEDIATE",
    ),
};

pub(crate) const EVENTS: Schema = Schema {
    sql: include_str!("schemas/events.sql"),
    name: "events",
    statements: &[
        "INSERT INTO events.event VALUES ({n}, {s}, {i} * 3)",
        "INSERT INTO events.event SELECT {n} * 100 + g, g % 4, g * 7 FROM generate_series(1, {i}) AS g",
        "INSERT INTO events.event VALUES ({i}, {s}, {i}) ON CONFLICT DO NOTHING",
        "INSERT INTO events.event VALUES ({i}, {s}, {i} * 3) ON CONFLICT (kind, id, at) DO UPDATE SET body = 'again'",
        "UPDATE events.event SET kind = {s} WHERE {where id}",
        "UPDATE events.event SET kind = (kind + 1) % 3 WHERE {where id}",
        "UPDATE events.event SET at = at + 40 WHERE kind = 0 AND {where id}",
        "UPDATE events.by_time SET at = (at * 7) % 120 WHERE {where id}",
        "UPDATE events.event SET body = 'changed' WHERE {where id}",
        "UPDATE events.spread SET id = id + 4000 WHERE {where id}",
        "UPDATE events.drops SET body = 'd' WHERE {where id}",
        "DELETE FROM events.event WHERE {where id} AND kind = {s}",
        "DELETE FROM events.late WHERE {where id}",
        "DELETE FROM events.event WHERE id > 400 AND id % 3 = 0",
        "INSERT INTO events.by_time VALUES ({n}, 0, {i} * 3)",
        "INSERT INTO events.drops (id, kind) VALUES ({n}, 2), ({n}, 2), ({n}, 2)",
        "MERGE INTO events.event AS e USING generate_series({i}, {i} + 8) AS g ON e.id = g AND e.kind = {s} \
         WHEN MATCHED AND e.at % 4 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET kind = (e.kind + 1) % 3 \
         WHEN NOT MATCHED THEN INSERT VALUES (g, {s}, 1)",
        "MERGE INTO events.event AS e USING generate_series({i}, {i} + 8) AS g ON e.id = g AND e.kind = {s} \
         WHEN MATCHED THEN UPDATE SET kind = (e.kind + 1) % 3",
        "MERGE INTO events.event AS e USING generate_series({i}, {i} + 8) AS g ON e.id = g AND e.kind = {s} \
         WHEN MATCHED THEN UPDATE SET body = 'merged'",
        "INSERT INTO events.note SELECT id, kind, at, 'more' FROM events.event WHERE {where id}",
        "DELETE FROM events.note WHERE {where event}",
        "UPDATE events.summary SET seen = 0 WHERE kind = {s}",
        "UPDATE events.plain SET v = v + 1 WHERE {where id}",
        "INSERT INTO events.plain VALUES ({n}, 1)",
        "WITH gone AS (DELETE FROM events.event WHERE id = {i} RETURNING id), \
              moved AS (UPDATE events.event SET kind = 2 WHERE id = {i} + 1 RETURNING id) \
         INSERT INTO events.plain SELECT id + 100000 * {n}, 1 FROM gone",
    ],
    copies: &[
        "COPY events.event (id, kind, at) FROM STDIN|{n}\t{s}\t{i}",
        "COPY events.drops (id, kind) FROM STDIN (FORMAT csv)|{n},2",
    ],
    resolve: None,
};

pub(crate) const TENANTS: Schema = Schema {
    sql: include_str!("schemas/tenants.sql"),
    name: "tenants",
    statements: &[
        "INSERT INTO tenants.note VALUES ({n}, {s}, 'n')",
        "INSERT INTO tenants.note SELECT {n} * 100 + g, g % 3 FROM generate_series(1, {i}) AS g",
        "UPDATE tenants.note SET body = body || '!' WHERE {where id}",
        "UPDATE tenants.note SET tenant = {s} WHERE {where id}",
        "DELETE FROM tenants.note WHERE {where id} AND id > 10",
        "DELETE FROM tenants.note WHERE id > 400 AND id % 3 = 0",
        "INSERT INTO tenants.note VALUES ({i}, 1, 'c') ON CONFLICT (id) DO UPDATE SET body = 'conflict'",
        "INSERT INTO tenants.item VALUES ({n}, {s}, 'i')",
        "INSERT INTO tenants.special VALUES ({n}, {s}, 's', {i})",
        "INSERT INTO tenants.very_special SELECT g, {s}, 'v' FROM generate_series({i}, 45) AS g",
        "UPDATE tenants.item SET name = 'u' WHERE {where id}",
        "UPDATE ONLY tenants.item SET name = 'only' WHERE {where id}",
        "UPDATE tenants.special SET price = price + 1 WHERE {where id}",
        "DELETE FROM tenants.item WHERE {where id}",
        "DELETE FROM tenants.special WHERE id = {i}",
        "INSERT INTO tenants.doc VALUES ({n}, {s})",
        "DELETE FROM tenants.doc WHERE {where id}",
        "UPDATE tenants.doc SET tenant = {s} WHERE {where id}",
        "UPDATE tenants.doc SET deleted = NOT deleted WHERE {where id}",
        "UPDATE tenants.quota SET used = 0 WHERE tenant = {s}",
        "DELETE FROM tenants.history WHERE {where of}",
        "MERGE INTO tenants.doc AS d USING generate_series({i}, {i} + 6) AS g ON d.id = g \
         WHEN MATCHED AND d.deleted THEN DELETE WHEN MATCHED THEN UPDATE SET tenant = 1 \
         WHEN NOT MATCHED THEN INSERT VALUES (g, 2)",
    ],
    copies: &[
        "COPY tenants.item FROM STDIN|{n}\t{s}\tcopied",
        "COPY tenants.very_special (id, tenant) FROM STDIN (FORMAT csv)|{n},{s}",
    ],
    resolve: None,
};

pub(crate) const ODD_NAMES: Schema = Schema {
    sql: include_str!("schemas/odd_names.sql"),
    name: "\"Odd \"\"Näme\"\" 🦀\"",
    statements: &[
        r#"INSERT INTO "Odd ""Näme"" 🦀"."select" VALUES ({n}, 'n')"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."select" SET "where" = 'u' WHERE {where "from"}"#,
        r#"DELETE FROM "Odd ""Näme"" 🦀"."select" WHERE {where "from"}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."a.b" SELECT {n}, min("from") FROM "Odd ""Näme"" 🦀"."select""#,
        r#"DELETE FROM "Odd ""Näme"" 🦀"."a.b" WHERE {where "c.d"}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."Ta ble" VALUES ({n}, 'n'), ({n}, 'm')"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."Ta ble" SET "100%" = "100%" + 1 WHERE {where "id"}"#,
        r#"DELETE FROM "Odd ""Näme"" 🦀"."Ta ble" WHERE {where "id"}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."quo""te" VALUES ({i}, 'c') ON CONFLICT ("""") DO UPDATE SET "\" = 'again'"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."quo""te" SET "\" = '\' WHERE {where """"}"#,
        r#"DELETE FROM "Odd ""Näme"" 🦀"."🦀" WHERE {where "🦀"}"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."🦀" SET v = v + 1 WHERE {where v}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."sixty-three bytes: äöü, and as many more as there have to be" VALUES ({n}, 1)"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."sixty-three bytes: äöü, and as many more as there have to be" SET v = v + 1 WHERE {where id}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."Parts" VALUES ({n}, {s})"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."Parts" SET "Key" = {s} WHERE {where id}"#,
        r#"DELETE FROM "Odd ""Näme"" 🦀"."Parts" WHERE {where id}"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."Part ""1""" VALUES ({n}, 1)"#,
        r#"INSERT INTO "Odd ""Näme"" 🦀"."View" VALUES ({n}, 'v')"#,
        r#"UPDATE "Odd ""Näme"" 🦀"."View" SET "where" = 'through' WHERE {where "as"}"#,
    ],
    copies: &[
        "COPY \"Odd \"\"Näme\"\" 🦀\".\"Ta ble\" (\"id\") FROM STDIN|{n}",
        "COPY \"Odd \"\"Näme\"\" 🦀\".\"Parts\" FROM STDIN (FORMAT csv)|{n},{s}",
    ],
    resolve: None,
};
