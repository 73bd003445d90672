//! Statements, savepoints, exception blocks, cascades and partitions by chance: what a phase counts is what stands, or the
//! phase is refused. `PHASEGATE_LONG=1` performs three thousand phases, `PHASEGATE_SEED` sets what they do.

use std::collections::BTreeMap;

use postgres::{Client, SimpleQueryMessage};
use serde_json::{Value, json};

use crate::hand::psql;
use crate::random::{self, Random};
use crate::server::database;

struct Chance(Random);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.below(usize::try_from(bound).unwrap()) as u64
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        self.0.one_of(choices)
    }

    /// In so many of a hundred cases.
    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn id(&mut self) -> u64 {
        1 + self.below(65)
    }

    fn condition(&mut self) -> String {
        let (id, other) = (self.id(), self.id());
        match self.below(5) {
            0 => format!("id = {id}"),
            1 => format!("id < {}", 1 + id % 12),
            2 => format!("v % {} = {}", 2 + id % 8, other % 4),
            3 => format!("id IN ({id}, {other})"),
            _ => format!("id > {}", 40 + id % 22),
        }
    }

    /// One statement that writes; with rows that it returns, in a WITH.
    fn write(&mut self, returns: bool) -> String {
        let table = self.of(&[
            "a", "b", "c", "log", "m1", "m2", "p", "p", "p0", "p1", "p11", "h", "h1",
        ]);
        let (id, new, condition) = (self.id(), 10_000 + self.below(900_000), self.condition());
        let v = 30 + self.below(8);
        let keyed = !matches!(table, "log" | "h" | "h1");
        let sql = if table.starts_with('p') {
            let k = match table {
                "p0" => 0,
                "p1" | "p11" => 1,
                _ => self.below(2),
            };
            let id = if table == "p11" { 55 + id % 5 } else { id };
            match self.below(if returns { 5 } else { 6 }) {
                0 => format!("INSERT INTO {table} VALUES ({new}, {k}, {v}) ON CONFLICT DO NOTHING"),
                1 => format!(
                    "INSERT INTO {table} VALUES ({id}, {k}, {v}) ON CONFLICT (id, k) DO UPDATE SET v = excluded.v"
                ),
                2 => format!(
                    "UPDATE {table} SET k = 1 - k, id = id + {} WHERE {condition}",
                    200 * self.below(2)
                ),
                3 => format!("UPDATE {table} SET v = v + 1 WHERE {condition}"),
                4 => format!("DELETE FROM {table} WHERE {condition}"),
                _ => format!(
                    "MERGE INTO {table} AS x USING (SELECT g, g % 2 AS k FROM generate_series({id}, {id} + 6) AS g) AS s \
                     ON x.id = s.g AND x.k = s.k WHEN MATCHED AND x.v % 3 = 0 THEN DELETE \
                     WHEN MATCHED THEN UPDATE SET v = x.v + 1{}",
                    if table == "p" {
                        ", k = 1 - x.k WHEN NOT MATCHED THEN INSERT VALUES (s.g, s.k, 30)"
                    } else {
                        ""
                    }
                ),
            }
        } else {
            match self.below(if returns || !keyed { 8 } else { 9 }) {
                0 => format!("INSERT INTO {table} (id, v) VALUES ({new}, {v})"),
                1 => format!(
                    "INSERT INTO {table} (id, v) SELECT f('{table}', g), {v} FROM generate_series({id}, {id} + 4) AS g"
                ),
                2 if keyed => format!(
                    "INSERT INTO {table} (id, v) VALUES ({id}, {v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
                ),
                3 if keyed => format!("UPDATE {table} SET id = {new} WHERE id = {id}"),
                4 => format!("UPDATE {table} SET v = f('{table}', id) % 50 WHERE id = {id}"),
                5 => format!("DELETE FROM {table} WHERE {condition}"),
                8 => format!(
                    "MERGE INTO {table} AS x USING generate_series({id}, {id} + 5) AS g ON x.id = g \
                     WHEN MATCHED AND x.v % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = x.v + 1 \
                     WHEN NOT MATCHED THEN INSERT (id, v) VALUES (g, 30)"
                ),
                _ => format!("UPDATE {table} SET v = v + 1 WHERE {condition}"),
            }
        };
        if returns {
            format!("{sql} RETURNING 1")
        } else {
            sql
        }
    }

    fn statement(&mut self, undoes: u64) -> String {
        match self.below(10) {
            0..=5 => self.write(false),
            6 | 7 => {
                let (first, second) = (self.write(true), self.write(true));
                format!(
                    "WITH x AS ({first}), y AS ({second}) {}",
                    self.of(&["SELECT 1", "DELETE FROM log WHERE id = 3"])
                )
            }
            8 => format!(
                "DO $q$ BEGIN {}; {}; END $q$",
                self.write(false),
                self.write(false)
            ),
            _ if self.percent(undoes) => format!(
                "DO $q$ BEGIN {}; BEGIN {}; RAISE 'y'; EXCEPTION WHEN others THEN END; {}; END $q$",
                self.write(false),
                self.write(false),
                self.write(false)
            ),
            _ => self.write(false),
        }
    }
}

/// Savepoints that are open, each with its name.
struct Session {
    client: Client,
    done: Vec<String>,
}

impl Session {
    fn says(&mut self, sql: &str) -> bool {
        let done = self.client.batch_execute(sql);
        self.done.push(format!(
            "{}{sql}",
            if done.is_ok() { "" } else { "FAILED " }
        ));
        done.is_ok()
    }

    fn must(&mut self, sql: &str) {
        assert!(self.says(sql), "{:?}", self.done);
    }

    fn answer(&mut self, sql: &str) -> Result<String, postgres::Error> {
        let answer = self.client.simple_query(sql)?;
        let rows = answer.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(rows.last().unwrap_or_default())
    }
}

/// What a table's rows came to: inserted, updated, deleted.
type Rows = BTreeMap<String, [u64; 3]>;

fn truth(session: &mut Session) -> Rows {
    let sql = "SELECT coalesce(jsonb_object_agg(t.rel, t.ops), '{}') FROM ( \
                 SELECT 'public.' || coalesce(pg_partition_root(rel)::oid, rel)::regclass AS rel, \
                        jsonb_build_array(count(*) FILTER (WHERE op = 'INSERT'), count(*) FILTER (WHERE op = 'UPDATE'), \
                                          count(*) FILTER (WHERE op = 'DELETE')) AS ops \
                 FROM public.truth GROUP BY 1) AS t";
    serde_json::from_str(&session.answer(sql).unwrap()).unwrap()
}

fn measured(text: &str) -> Rows {
    let value: Value = serde_json::from_str(text).unwrap();
    let mut rows = Rows::new();
    for (table, counts) in value["effects"].as_object().unwrap() {
        if table == "public.truth" {
            continue;
        }
        assert_eq!(counts["exactly"], true, "{table}");
        let count = |what: &str| counts[what].as_u64().unwrap();
        rows.insert(
            table.clone(),
            [count("inserted"), count("updated"), count("deleted")],
        );
    }
    rows
}

/// Sets savepoints and goes back to them: with the words that `PhaseTx::savepoint` says, unless it lies.
fn savepoints(session: &mut Session, chance: &mut Chance, open: &mut u64, lies: bool) {
    let says = |chance: &mut Chance| !(lies && chance.percent(30));
    if *open == 0 || chance.percent(50) {
        *open += 1;
        let mark = if says(chance) {
            "SELECT phasegate.before_savepoint(); "
        } else {
            ""
        };
        session.must(&format!("{mark}SAVEPOINT s{open}"));
    } else if chance.percent(70) {
        // To an outer one as well.
        *open -= chance.below((*open).min(2));
        let word = if says(chance) {
            "; SELECT phasegate.after_rollback()"
        } else {
            ""
        };
        session.must(&format!("ROLLBACK TO SAVEPOINT s{open}{word}"));
        if chance.percent(50) {
            session.must(&format!("RELEASE s{open}"));
            *open -= 1;
        }
    } else {
        session.must(&format!("RELEASE s{open}"));
        *open -= 1;
    }
}

#[test]
fn what_a_phase_counts_stands_or_the_phase_is_refused() {
    let seed = random::seed();
    let cases = random::runs(250, 3000) as u64;
    let mut chance = Chance(Random::new(seed));
    let database = database();
    database.sql(include_str!("chance.sql"));
    database.sql(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {0}; REVOKE ALL ON truth FROM {0}; \
         GRANT SELECT ON truth TO {0}; GRANT USAGE ON SEQUENCE ids TO {0}",
        database.runner.name()
    ));
    let request = json!({
        "protocol": 1, "application_name": "by chance", "refuse_privileged_role": false, "lock_timeout": 10_000,
        "statement_timeout": 20_000, "idle_timeout": 60_000,
    });
    let open = crate::hand::open(&request).replace("phasegate.open(", "phasegate.open_rehearsal(");
    let (mut exact, mut refused) = (0, 0);
    let mut session = Session {
        client: psql(&database),
        done: Vec::new(),
    };
    for case in 0..cases {
        session.done.clear();
        session.must(&format!("BEGIN; {open}; SET statement_timeout = '5s'"));
        // A third undoes nothing but by its adapter, which says so; a third lies; a third has exception blocks.
        let (lies, undoes) = (case % 3 == 1, 50 * (case % 3));
        let mut savepoint = 0;
        for _ in 0..=chance.below(7) {
            if chance.percent(40) {
                savepoints(&mut session, &mut chance, &mut savepoint, lies);
                continue;
            }
            let statement = chance.statement(undoes);
            session.must("SELECT phasegate.before_savepoint(); SAVEPOINT q");
            if !session.says(&statement) {
                session.must("ROLLBACK TO SAVEPOINT q; SELECT phasegate.after_rollback()");
            }
            session.must("RELEASE q");
        }
        session.must("SELECT phasegate.drain_rehearsal(); SET CONSTRAINTS ALL IMMEDIATE");
        let stands = truth(&mut session);
        match session.answer("SELECT phasegate.measure_rehearsal()") {
            Ok(text) => {
                let counted = measured(&text);
                assert_eq!(
                    counted, stands,
                    "PHASEGATE_SEED={seed}, case {case}: {:#?}",
                    session.done
                );
                exact += 1;
            }
            Err(error) => {
                assert_eq!(
                    crate::hand::code(&error),
                    "ZG006",
                    "PHASEGATE_SEED={seed}, case {case}: {error:?}"
                );
                refused += 1;
            }
        }
        session.must("ROLLBACK");
    }
    assert!(
        exact > cases / 6,
        "PHASEGATE_SEED={seed}: {exact} exact, {refused} refused"
    );
    assert!(
        refused > 0 || cases < 50,
        "PHASEGATE_SEED={seed}: {exact} exact, {refused} refused"
    );
    eprintln!("PHASEGATE_SEED={seed}: {exact} exact, {refused} refused");
}
