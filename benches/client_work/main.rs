//! The client's cost of a guarded phase: instructions, as callgrind counts them, and elapsed time, each beside a bare
//! transaction with the same statement. `cargo bench --bench client_work`, which needs `valgrind`.

#![allow(clippy::print_stdout)]

mod counted;
mod delay;
mod work;

use std::env;
use std::error::Error as StdError;
use std::time::{Duration, Instant};

use phasegate::testing::{ApprovesEverything, TestPostgres};
use phasegate::{Target, operator::Operator, schema::protect};
use postgres::{Config, NoTls};

use counted::{Counted, instructions, refuse_without_valgrind};
use work::{bare, guarded, in_session, plan_of, say};

type Answer<T> = Result<T, Box<dyn StdError>>;

/// The number of times that each kind is timed on each transport.
const ROUNDS: u32 = 100;

/// The delay of each response, where responses are delayed.
const DELAY: Duration = Duration::from_millis(1);

fn main() -> Answer<()> {
    if let Ok(work) = env::var(counted::WORK) {
        return counted::perform(&work);
    }
    refuse_without_valgrind()?;
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    let operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let mut place = Place {
        operator,
        target: Target::new("", "", ""),
        config: runner.config(),
        next: 0,
    };
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE note (n bigint); CREATE TABLE bare (n bigint); \
         GRANT INSERT ON note, bare TO {}",
        runner.name()
    ))?;
    protect(&mut admin, "note")?;
    place.target = Target::identify(&mut place.config.connect(NoTls)?)?;

    let instructions = instructions(&mut place)?;
    let socket = Walls::timed(&mut place, &runner.config())?;
    let delayed = delay::in_front_of(&runner.config(), DELAY)?;
    let tcp = Walls::timed(&mut place, &delayed)?;
    report(&instructions, &socket, &tcp);
    Ok(())
}

/// Where phases are performed.
struct Place {
    operator: Operator,
    target: Target,
    config: Config,
    /// The number of the next note; each is a plan of its own.
    next: u32,
}

impl Place {
    /// Admits the plans of so many notes more, and returns the number of the first.
    fn admit(&mut self, notes: u32) -> Answer<u32> {
        let first = self.next;
        self.next += notes;
        for note in first..self.next {
            ApprovesEverything::admit(&mut self.operator, &plan_of(&self.target, note)?)?;
        }
        Ok(first)
    }
}

/// The times of one transport, in the order of the rounds.
#[derive(Default)]
struct Walls {
    bare: Vec<Duration>,
    guarded: Vec<Duration>,
    bare_in_session: Vec<Duration>,
    bare_prepared: Vec<Duration>,
    guarded_in_session: Vec<Duration>,
}

impl Walls {
    fn timed(place: &mut Place, config: &Config) -> Answer<Walls> {
        let first = place.admit(ROUNDS)?;
        let mut open = config.connect(NoTls)?;
        let prepared = open.prepare(work::INSERT_BARE)?;
        let mut walls = Walls::default();
        for note in first..first + ROUNDS {
            let plan = plan_of(&place.target, note)?;
            let begun = Instant::now();
            let in_its_session = guarded(config, plan, note)?;
            walls.guarded.push(begun.elapsed());
            walls.guarded_in_session.push(in_its_session);

            let begun = Instant::now();
            bare(config, note)?;
            walls.bare.push(begun.elapsed());

            let begun = Instant::now();
            in_session(&mut open, note)?;
            walls.bare_in_session.push(begun.elapsed());

            let begun = Instant::now();
            say(&mut open, &prepared, note)?;
            walls.bare_prepared.push(begun.elapsed());
        }
        Ok(walls)
    }
}

fn report(counted: &Counted, socket: &Walls, tcp: &Walls) {
    println!("| client instructions, N = 1 | bare | guarded | ratio |");
    println!("|---|---|---|---|");
    let line = |what: &str, bare: f64, guarded: f64| {
        println!(
            "| {what} | {:.0} k | {:.0} k | {:.2} |",
            bare / 1e3,
            guarded / 1e3,
            guarded / bare
        );
    };
    let (bare, guarded) = (counted.bare, counted.guarded);
    line("from connecting", bare, guarded);
    let guarded = guarded - counted.connecting;
    let in_session = "within an open session, the connecting of the guarded one not counted";
    line(in_session, counted.in_session, guarded);
    println!(
        "\nConnecting by itself: {:.0} k.\n",
        counted.connecting / 1e3
    );

    println!("| wall time, N = 1 | bare | guarded | ratio of medians | ratios, middle half |");
    println!("|---|---|---|---|---|");
    for (transport, walls) in [
        ("Unix socket", socket),
        ("TCP, each response 1 ms later", tcp),
    ] {
        let compared = [
            ("from connecting", &walls.bare, &walls.guarded),
            (
                "within an open session",
                &walls.bare_in_session,
                &walls.guarded_in_session,
            ),
            (
                "the same, the bare one's statement prepared long before",
                &walls.bare_prepared,
                &walls.guarded_in_session,
            ),
        ];
        for (what, bare, guarded) in compared {
            let ratios = bare.iter().zip(guarded);
            let ratios = ratios.map(|(bare, guarded)| guarded.as_secs_f64() / bare.as_secs_f64());
            let ratios = Spread::of(ratios.collect());
            let of = |times: &[Duration]| {
                Spread::of(times.iter().map(Duration::as_secs_f64).collect()).median
            };
            let (bare, guarded) = (of(bare), of(guarded));
            println!(
                "| {transport}, {what} | {:.2} ms | {:.2} ms | {:.2} | {:.2} to {:.2} |",
                bare * 1e3,
                guarded * 1e3,
                guarded / bare,
                ratios.quarter,
                ratios.three_quarters
            );
        }
    }
}

struct Spread {
    quarter: f64,
    median: f64,
    three_quarters: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarters: usize| values[values.len() * quarters / 4];
        Spread {
            quarter: at(1),
            median: at(2),
            three_quarters: at(3),
        }
    }
}
