//! Rows through the IU cutter's own functions, by row calls of phasegate and by everything else, side by
//! side. `benches/run` sets up what it needs and starts it.

mod alone;
mod digesting;
mod report;
mod results;
mod site;
mod variants;
mod ways;
mod work;

#[allow(dead_code, unreachable_pub)] // as the example has it
#[path = "../../../examples/iu_cutter/install.rs"]
mod install;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use alone::{ALONE, Measured};
use results::Results;
use site::Server;
use ways::Way;
use work::{Charter, Job, Outcome, Variant};

/// How many rounds of how many rows, for those variants that wait for each row, for the one that
/// sends rows one by one, and for the others: a round of the first takes minutes where one of the
/// last takes seconds.
struct Scale {
    n: u64,
    loops: usize,
    pipelined: usize,
    rounds: usize,
}

impl Scale {
    const fn new(n: u64, loops: usize, pipelined: usize, rounds: usize) -> Self {
        Scale {
            n,
            loops,
            pipelined,
            rounds,
        }
    }

    fn rounds_of(&self, way: Way) -> usize {
        match way {
            Way::Psycopg | Way::Postgres | Way::Sqlx | Way::Diesel => self.loops,
            Way::Pipelined => self.pipelined,
            _ => self.rounds,
        }
    }
}

const FULL: [Scale; 6] = [
    Scale::new(3, 15, 15, 15),
    Scale::new(100, 15, 15, 15),
    Scale::new(1_000, 7, 7, 7),
    Scale::new(10_000, 3, 3, 3),
    Scale::new(100_000, 1, 1, 2),
    Scale::new(1_000_000, 0, 0, 1),
];

const QUICK: [Scale; 3] = [
    Scale::new(3, 5, 5, 5),
    Scale::new(100, 5, 5, 5),
    Scale::new(1_000, 3, 3, 3),
];

/// From here on each Rust variant has a process of its own, whose memory is then measured.
const ALONE_FROM: u64 = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, rest @ ..] if first == ALONE => alone::child(rest),
        [python, place] => compare(Path::new(python), Path::new(place), &FULL),
        [python, place, quick] if quick == "--quick" => {
            compare(Path::new(python), Path::new(place), &QUICK)
        }
        _ => {
            eprintln!("started by benches/run");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn compare(python: &Path, place: &Path, scales: &[Scale]) -> Outcome<()> {
    let begun = Instant::now();
    let charter = Charter::new();
    let server = Server::start()?;
    let of_loops = scales.iter().filter(|scale| scale.loops > 0);
    let most = of_loops.map(|scale| scale.n).max().unwrap_or(0);
    let mut variants = Vec::new();
    for way in Way::ALL {
        let variant = match way.variant() {
            Some(variant) => variant,
            None => ways::psycopg(python, &charter, most)?,
        };
        variants.push((way, variant));
    }

    // Once for nothing: then every client has used all that it uses.
    server.bare.stage(&charter, 3)?;
    for (way, variant) in &mut variants {
        measure(&server, &charter, 3, *way, &mut **variant)?;
    }

    let mut results = Results::default();
    for scale in scales {
        server.bare.stage(&charter, scale.n)?;
        for round in 0..scale.rounds {
            let (took, of) = (begun.elapsed().as_secs(), scale.rounds);
            eprintln!("{took:>4} s: {} rows, round {} of {of}", scale.n, round + 1);
            // Nobody is always the first.
            let first = round % variants.len();
            for at in 0..variants.len() {
                let (way, variant) = &mut variants[(first + at) % Way::ALL.len()];
                if round < scale.rounds_of(*way) {
                    let measured = measure(&server, &charter, scale.n, *way, &mut **variant)?;
                    results.add(scale.n, *way, measured);
                }
            }
        }
        let digested = (0..scale.rounds.min(3)).map(|_| digesting::digest(&charter, scale.n));
        results.digested(scale.n, digested.collect::<Outcome<_>>()?);
    }
    let took = begun.elapsed();
    fs::write(place.join("raw.csv"), results.raw())?;
    let page = report::page(&results, &server.version(), took);
    fs::write(place.join("results.md"), &page)?;
    println!("{page}");
    Ok(())
}

fn measure(
    server: &Server,
    charter: &Charter,
    n: u64,
    way: Way,
    variant: &mut dyn Variant,
) -> Outcome<Measured> {
    let site = if way.is_guarded() {
        &server.guarded
    } else {
        &server.bare
    };
    let measured = if n >= ALONE_FROM && way != Way::Psycopg {
        alone::in_a_process(way, n, site)
    } else {
        alone::here(variant, &Job { n, charter, site })
    };
    measured.inspect_err(|_| eprintln!("failed: {n} rows by {}", way.label()))
}
