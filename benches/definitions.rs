//! The cost of the definitions that a plan binds, in schemas of 100 and of 1,000 tables and as many functions: finding what
//! a rehearsal used, once for each rehearsal, and comparing it, once for each session of a run. The server CPU of
//! each, in a new session. `cargo bench --bench definitions`. Linux only: it reads the CPU time of the server's process.

#![allow(clippy::print_stdout)]

use std::error::Error as StdError;
use std::fs;
use std::time::Duration;

use phasegate::testing::{ScratchDatabase, TestPostgres};
use postgres::NoTls;

type Outcome<T> = Result<T, Box<dyn StdError>>;

const ROUNDS: usize = 7;

/// Functions of 2 kB, each of which writes a table and names the one before it.
fn application(size: usize) -> String {
    let comment = "-- a line of a comment, as the bodies of functions have them\n".repeat(30);
    let one = |n: usize| {
        let before = (n - 1).max(1);
        format!(
            "CREATE TABLE t{n} (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '', CHECK (id > 0)); \
             CREATE FUNCTION f{n}(p bigint) RETURNS bigint LANGUAGE plpgsql AS $body$ BEGIN\n{comment}\
             UPDATE t{n} SET name = name || 'x' WHERE id = p;\n\
             IF p > 1 THEN RETURN f{before}(p - 1); END IF;\nRETURN p; END $body$; "
        )
    };
    (1..=size).map(one).collect::<Vec<_>>().concat()
}

/// The server CPU of a query in a new session, the median.
fn cost(database: &ScratchDatabase, query: &str) -> Outcome<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut client = database.admin().connect(NoTls)?;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        client.batch_execute("SET jit = off")?; // as in a phase
        let before = cpu(pid)?;
        client.batch_execute(query)?;
        times.push(cpu(pid)?.saturating_sub(before));
    }
    times.sort_unstable();
    Ok(times[ROUNDS / 2])
}

fn main() -> Outcome<()> {
    println!("| server CPU, in a new session | 100 tables and functions | 1,000 |\n|---|---|---|");
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let mut columns = Vec::new();
    for size in [100, 1_000] {
        let database = server.create_database()?;
        database.install()?;
        let mut admin = database.admin().connect(NoTls)?;
        admin.batch_execute(&application(size))?;
        // A plan that uses these, as `measure_means` has it.
        for (plan, condition) in [
            ("ten", "d.name ~ '[ .][tf][1-5]([(]|$)'"),
            ("everything", "true"),
        ] {
            admin.batch_execute(&format!(
                "CREATE TABLE {plan} AS SELECT jsonb_build_object('objects', jsonb_object_agg( \
                     d.name, phasegate.fingerprint(d.catalog, d.oid))) AS means \
                 FROM phasegate.defined AS d WHERE {condition}"
            ))?;
        }
        let used = |function: usize| {
            format!("SELECT count(*) FROM phasegate.functions_used(ARRAY['SELECT f{function}(1)'])")
        };
        let compared =
            |plan: &str| format!("SELECT phasegate.changed_means(p.means) FROM {plan} AS p");
        let mut column = Vec::new();
        for query in [
            used(1),
            used(10),
            used(size),
            compared("ten"),
            compared("everything"),
        ] {
            column.push(cost(&database, &query)?);
        }
        columns.push(column);
    }
    for (row, what) in [
        "find what one function uses, by its text",
        "the same, a chain of 10 functions",
        "the same, a chain of all functions",
        "compare 5 tables and 5 functions",
        "compare all tables and functions",
    ]
    .into_iter()
    .enumerate()
    {
        println!(
            "| {what} | {} ms | {} ms |",
            columns[0][row].as_millis(),
            columns[1][row].as_millis()
        );
    }
    Ok(())
}

/// CPU time of a process.
fn cpu(pid: i32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let spent = stat.split_ascii_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(spent.parse()?))
}
