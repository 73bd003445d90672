//! The cost of a table's guard for an application whose role is not a runner: the server CPU of the same statements on
//! a guarded table and on an unguarded one, block by block in turn, in one session; beside them, the floor: a table whose
//! trigger does nothing, and one whose trigger is never called. `cargo bench --bench application`. Linux only: it reads
//! the CPU time of the server's process.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::fs;
use std::io::Write as _;
use std::time::Duration;

use phasegate::schema::{Guard, protect_as};
use phasegate::testing::TestPostgres;
use postgres::{Client, NoTls};

type Outcome<T> = Result<T, Box<dyn StdError>>;

/// The number of blocks of each kind, one on each table in turn.
const ROUNDS: usize = 15;

/// The tables: without a trigger, under guard, with a trigger that does nothing, with one that `WHEN (false)` keeps from
/// being called. The first is what the others are compared with.
const TABLES: [&str; 4] = ["free", "guarded", "triggered", "never"];

/// The number of statements of one row in a block, each a transaction.
const SINGLE: i64 = 500;

const MANY: i64 = 10_000;

const EMPTY: &str = "TRUNCATE free, guarded, triggered, never";

/// Performs one block of statements on a table.
type Block = fn(&mut Client, &str) -> Outcome<()>;

const BLOCKS: [(&str, Block); 7] = [
    ("INSERT of one row", |client, table| {
        single(client, &format!("INSERT INTO {table} VALUES ($1, 0)"))
    }),
    ("UPDATE of one row", |client, table| {
        single(
            client,
            &format!("UPDATE {table} SET n = n + 1 WHERE id = $1"),
        )
    }),
    ("DELETE of one row", |client, table| {
        single(client, &format!("DELETE FROM {table} WHERE id = $1"))
    }),
    ("INSERT of 10,000 rows", |client, table| {
        let insert =
            format!("INSERT INTO {table} SELECT i, 0 FROM generate_series(1, {MANY}) AS i");
        Ok(client.batch_execute(&insert)?)
    }),
    ("UPDATE of 10,000 rows", |client, table| {
        Ok(client.batch_execute(&format!("UPDATE {table} SET n = n + 1"))?)
    }),
    ("DELETE of 10,000 rows", |client, table| {
        Ok(client.batch_execute(&format!("DELETE FROM {table}"))?)
    }),
    ("COPY of 10,000 rows", |client, table| {
        let mut copy = client.copy_in(&format!("COPY {table} FROM STDIN"))?;
        for id in 0..MANY {
            writeln!(copy, "{id}\t0")?;
        }
        copy.finish()?;
        Ok(())
    }),
];

fn single(client: &mut Client, sql: &str) -> Outcome<()> {
    let statement = client.prepare(sql)?;
    for id in 0..SINGLE {
        client.execute(&statement, &[&id])?;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("fsync", "off")
        .setting("autovacuum", "off")
        .setting("work_mem", "1MB")
        .start()?;
    let database = server.create_database()?;
    let _operator = database.install()?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(
        "CREATE ROLE application LOGIN; \
         CREATE TABLE free (id bigint PRIMARY KEY, n bigint NOT NULL); \
         CREATE TABLE guarded (LIKE free INCLUDING ALL); \
         CREATE TABLE triggered (LIKE free INCLUDING ALL); \
         CREATE TABLE never (LIKE free INCLUDING ALL); \
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; \
         CREATE TRIGGER nothing BEFORE INSERT OR UPDATE OR DELETE ON triggered \
         FOR EACH STATEMENT EXECUTE FUNCTION nothing(); \
         CREATE TRIGGER nothing BEFORE INSERT OR UPDATE OR DELETE ON never \
         FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION nothing(); \
         GRANT SELECT, INSERT, UPDATE, DELETE ON free, guarded, triggered, never TO application",
    )?;
    for guard in [Guard::Counters, Guard::Statements, Guard::Contents] {
        protect_as(&mut admin, "guarded", guard)?;
        println!("\nGuarded by {guard:?}:\n");
        let mut client = database.admin().user("application").connect(NoTls)?;
        compare(&mut admin, &mut client)?;
    }
    Ok(())
}

/// Writes both tables in turn, and prints what the guard costs.
fn compare(admin: &mut Client, client: &mut Client) -> Outcome<()> {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
    let mut ratios = vec![[const { Vec::new() }; TABLES.len() - 1]; BLOCKS.len()];
    let mut costs = vec![Vec::new(); BLOCKS.len()];
    for round in 0..=ROUNDS {
        for housekeeping in ["VACUUM free, guarded, triggered, never", "CHECKPOINT"] {
            admin.batch_execute(housekeeping)?;
        }
        for (place, (_, block)) in BLOCKS.iter().enumerate() {
            let mut spent = [Duration::ZERO; TABLES.len()];
            for turn in 0..TABLES.len() {
                let table = (round + turn) % TABLES.len();
                let before = cpu(pid)?;
                block(client, TABLES[table])?;
                spent[table] = cpu(pid)?.saturating_sub(before);
            }
            // The first round plans and caches.
            if round > 0 {
                for (ratios, other) in ratios[place].iter_mut().zip(&spent[1..]) {
                    ratios.push(other.as_secs_f64() / spent[0].as_secs_f64());
                }
                costs[place].push(spent[0]);
            }
        }
        admin.batch_execute(EMPTY)?;
    }
    println!(
        "| server CPU, beside a table without a trigger | guarded | a trigger that does nothing | one that is never called | without, per block |"
    );
    println!("|---|---|---|---|---|");
    for (((what, _), ratios), mut costs) in BLOCKS.iter().zip(ratios).zip(costs) {
        costs.sort_unstable();
        let columns = ratios.map(|mut ratios| {
            ratios.sort_by(f64::total_cmp);
            format!(
                "{:.2} ({:.2} to {:.2})",
                ratios[ROUNDS / 2],
                ratios[ROUNDS / 10],
                ratios[ROUNDS - 1 - ROUNDS / 10]
            )
        });
        let columns = columns.join(" | ");
        println!(
            "| {what} | {columns} | {} us |",
            costs[ROUNDS / 2].as_micros()
        );
    }
    println!("\n| one INSERT of 100,000 rows, work_mem 1 MB | free | guarded |\n|---|---|---|");
    let [mut temporary, mut locks] = [[0_i64; 2]; 2];
    for (place, table) in ["free", "guarded"].into_iter().enumerate() {
        let temp = "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()";
        let flush = "SELECT pg_stat_force_next_flush()";
        let before: i64 = admin.query_one(temp, &[])?.get(0);
        let mut tx = client.transaction()?;
        let insert =
            format!("INSERT INTO {table} SELECT i, 0 FROM generate_series(1, 100000) AS i");
        tx.batch_execute(&insert)?;
        let held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation <> 'pg_locks'::regclass";
        locks[place] = tx.query_one(held, &[])?.get(0);
        tx.commit()?;
        client.batch_execute(flush)?;
        client.batch_execute("SELECT 1")?;
        let after: i64 = admin.query_one(temp, &[])?.get(0);
        temporary[place] = after - before;
    }
    println!(
        "| bytes of temporary files | {} | {} |",
        temporary[0], temporary[1]
    );
    println!(
        "| locks on relations, at its end | {} | {} |",
        locks[0], locks[1]
    );
    admin.batch_execute(EMPTY)?;
    Ok(())
}

/// CPU time of a process.
fn cpu(pid: i32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let spent = stat.split_ascii_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(spent.parse()?))
}
