//! The cost of a table's guard for an application whose role is not a runner: the server CPU of the same statements on
//! a guarded table and on an unguarded one, block by block in turn, in one session. `cargo bench --bench application`.
//! Linux only: it reads the CPU time of the server's process.

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

/// The number of statements of one row in a block, each a transaction.
const SINGLE: i64 = 500;

const MANY: i64 = 10_000;

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
         GRANT SELECT, INSERT, UPDATE, DELETE ON free, guarded TO application",
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
    let mut ratios = vec![Vec::new(); BLOCKS.len()];
    let mut costs = vec![Vec::new(); BLOCKS.len()];
    for round in 0..=ROUNDS {
        for housekeeping in ["VACUUM free, guarded", "CHECKPOINT"] {
            admin.batch_execute(housekeeping)?;
        }
        for (place, (_, block)) in BLOCKS.iter().enumerate() {
            let order = if round % 2 == 0 {
                ["free", "guarded"]
            } else {
                ["guarded", "free"]
            };
            let [mut free, mut guarded] = [Duration::ZERO; 2];
            for table in order {
                let before = cpu(pid)?;
                block(client, table)?;
                let spent = cpu(pid)?.saturating_sub(before);
                *(if table == "free" {
                    &mut free
                } else {
                    &mut guarded
                }) = spent;
            }
            // The first round plans and caches.
            if round > 0 {
                ratios[place].push(guarded.as_secs_f64() / free.as_secs_f64());
                costs[place].push(free);
            }
        }
        admin.batch_execute("TRUNCATE free, guarded")?;
    }
    println!("| on a table under guard | server CPU, guarded / not | not guarded, per block |");
    println!("|---|---|---|");
    for (((what, _), mut ratios), mut costs) in BLOCKS.iter().zip(ratios).zip(costs) {
        ratios.sort_by(f64::total_cmp);
        costs.sort_unstable();
        println!(
            "| {what} | {:.2} ({:.2} to {:.2}) | {} us |",
            ratios[ROUNDS / 2],
            ratios[ROUNDS / 10],
            ratios[ROUNDS - 1 - ROUNDS / 10],
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
    admin.batch_execute("TRUNCATE free, guarded")?;
    Ok(())
}

/// CPU time of a process.
fn cpu(pid: i32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let spent = stat.split_ascii_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(spent.parse()?))
}
